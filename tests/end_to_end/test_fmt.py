"""`replsync fmt`: in place, from a folder, for CI and for editors."""

from tests.end_to_end.workplace import Workplace, assert_refused

UNTIDY = "version: 1\r\nimages:\r\n- name:  worker # ours\r\n  tags: ['1.10']   \r\n"
TIDY = 'version: 1\r\nimages:\r\n  - name: worker # ours\r\n    tags: ["1.10"]\r\n'


def test_fmt_writes_what_isn_t_formatted_and_leaves_the_rest(workplace: Workplace) -> None:
    workplace.manifest.write_bytes(UNTIDY.encode())
    done = workplace.run("fmt")
    assert (done.returncode, done.stdout) == (0, "replicated-images.yaml: formatted\n")
    assert workplace.manifest.read_bytes().decode() == TIDY
    before = workplace.manifest.stat()
    done = workplace.run("fmt")
    assert (done.returncode, done.stdout) == (0, "")
    assert workplace.manifest.stat().st_ino == before.st_ino


def test_fmt_check_names_every_file_and_writes_none(workplace: Workplace) -> None:
    for name in ("a.yaml", "b.yaml"):
        (workplace.folder / name).write_bytes(UNTIDY.encode())
    (workplace.folder / "c.yaml").write_bytes(TIDY.encode())
    done = workplace.run("fmt", "--check", "-f", ".")
    assert (done.returncode, done.stdout) == (1, "a.yaml: not formatted\nb.yaml: not formatted\n")
    assert "next: replsync fmt" in done.stderr
    assert (workplace.folder / "a.yaml").read_bytes() == UNTIDY.encode()
    assert workplace.run("fmt", "--check", "-f", "c.yaml").returncode == 0


def test_fmt_reads_standard_input_for_editors(workplace: Workplace) -> None:
    done = workplace.run("fmt", "-f", "-", input=UNTIDY.replace("\r\n", "\n"))
    assert (done.returncode, done.stdout) == (0, TIDY.replace("\r\n", "\n"))
    assert_refused(workplace.run("fmt", "--check", "-f", "-", input=TIDY), 64, "not with --check")


def test_fmt_writes_nothing_where_one_of_the_files_is_at_fault(workplace: Workplace) -> None:
    (workplace.folder / "a.yaml").write_bytes(UNTIDY.encode())
    (workplace.folder / "b.yaml").write_text("version: 1\nimages: []\n")
    done = workplace.run("fmt", "-f", ".")
    assert done.returncode == 3
    assert "b.yaml:2:9: `images` is an empty list" in done.stderr
    assert (workplace.folder / "a.yaml").read_bytes() == UNTIDY.encode()


def test_fmt_says_what_it_doesn_t_format(workplace: Workplace) -> None:
    workplace.manifest.write_text("? version\n: 1\nimages: [{name: a, tags: [b]}]\n")
    assert_refused(workplace.run("fmt"), 3, "fmt: replicated-images.yaml:1: a key")
