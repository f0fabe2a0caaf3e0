"""Taking secrets out of what others say: a server may repeat what it was sent, as it came or in another form.

A password that is an ordinary word, such as `licence`, is taken out wherever a
server uses that word: from its answer alone nobody can tell a word from an
echo. To blot a word too much costs less than to show a secret.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

_STARS = "***"
_ADDRESSES = {"location", "link"}  # they are followed, never shown, and some servers sign them with a token
_ANYWHERE = 4
"""Characters; of a shorter secret only whole words are taken out: else hardly any text would be left."""
_PART = 8
"""Characters; where a secret was cut off, what has its first half, and no less than this, is taken out."""
_UNMISTAKABLE = 12
"""Characters; a shorter secret may be in an answer by accident."""


def repeats(headers: Mapping[str, str], body: bytes, secrets: Iterable[str]) -> bool:
    """Whether an answer holds one of `secrets` as it is, elsewhere than in the address of what comes next."""
    return any(
        secret.encode(errors="surrogatepass") in body
        or any(secret in value for name, value in headers.items() if name.lower() not in _ADDRESSES)
        for secret in secrets
        if len(secret) >= _UNMISTAKABLE
    )


def blotted(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with `***` for each of `secrets`: plain, URL-encoded, in base64, escaped for JSON, or cut off."""
    text = _in_small_hex(text)
    for form in sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True):
        text = _without(text, form)
    return text


def _in_small_hex(text: str) -> str:
    """Percent-encoding may be in capitals or not."""
    return re.sub("%[0-9A-Fa-f]{2}", lambda found: found[0].lower(), text) if "%" in text else text


def _forms(secret: str) -> Iterator[str]:
    for plain in {secret, secret.strip()} - {""}:
        yield _in_small_hex(plain)
        if len(plain) < _ANYWHERE:
            continue
        data = plain.encode(errors="surrogatepass")
        yield json.dumps(plain)[1:-1]
        yield "".join(f"%{byte:02x}" for byte in data)
        yield from map(_in_small_hex, (quote(data, safe=""), quote(data), quote_plus(data)))
        for before in range(3):  # in the middle of what was encoded, where its first and last bits depend on others
            encoded = base64.b64encode(bytes(before) + data).decode()
            encoded = encoded[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
            yield from (encoded, encoded.translate(str.maketrans("+/", "-_")))


def _without(text: str, form: str) -> str:
    if len(form) < _ANYWHERE:
        return re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", _STARS, text)
    least = min(len(form), max(_PART, len(form) // 2))
    parts = []
    start = 0
    while (at := text.find(form[:least], start)) >= 0:
        end, of = at + least, least
        while end < len(text) and of < len(form) and text[end] == form[of]:
            end, of = end + 1, of + 1
        parts += [text[start:at], _STARS]
        start = end
    return "".join([*parts, text[start:]])
