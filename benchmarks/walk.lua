-- wrk asks for the URLs of the file that its first argument names, in turn; each thread begins elsewhere.
-- By GET: wrk waits for a body after HEAD, too, and so gets nowhere (wrk issue 198). The registry does the same work
-- for both, but for the few hundred bytes of the body.
local urls, at, count = {}, 0, 0

function setup(thread)
  thread:set("start", count * 997)
  count = count + 1
end

function init(args)
  for line in io.lines(args[1]) do
    urls[#urls + 1] = line
  end
  at = start
end

function request()
  at = at + 1
  return wrk.format("GET", urls[at % #urls + 1])
end

function done(summary, latency, requests)
  local bad = summary.errors
  io.write(string.format("figures %d %d %d\n", summary.requests, summary.duration,
    bad.connect + bad.read + bad.write + bad.status + bad.timeout))
end
