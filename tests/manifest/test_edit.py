"""Retiring and restoring in the text: before and after, to the byte."""

import codecs
import textwrap
from pathlib import Path

import pytest

from replsync.errors import InvalidInput
from replsync.manifest.edit import NewTag, moved_to_retired, moved_to_tags
from replsync.manifest.faults import InvalidManifest
from replsync.manifest.read import read_manifest
from replsync.oci.digest import Digest, parse_digest

NAME = "replicated-images.yaml"
HEAD = "version: 1\nimages:\n"
HEX = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
DIGEST: Digest = parse_digest(f"sha256:{HEX}")
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))

# The tag 1.9.3 of the image worker is retired with the reason "why".
RETIRED = {
    "a new list below tags": (
        """
        - name: worker # the one
          tags:
            - 1.9.3
            - 1.10

        - name: api
          tags: [1.0]
        """,
        """
        - name: worker # the one
          tags:
            - 1.10
          retired:
            - tag: 1.9.3
              reason: why

        - name: api
          tags: [1.0]
        """,
    ),
    "block mappings beside it, and a comment that goes with the entry": (
        """
        - name: worker
          tags:
            # Above.
            - 1.9.3  # old
            # Below.
            - 1.10
          retired:
            - tag: 1.0
              reason: "gone"
            # Whatever follows.
          mutable: [edge]
        """,
        """
        - name: worker
          tags:
            # Above.
            # Below.
            - 1.10
          retired:
            - tag: 1.0
              reason: "gone"
            - tag: 1.9.3  # old
              reason: why
            # Whatever follows.
          mutable: [edge]
        """,
    ),
    "flow mappings beside it": (
        """
        - name: worker
          tags:
            - 1.9.3 # old
            - 1.10
          retired:
            - { tag: 1.0, reason: gone }
        """,
        """
        - name: worker
          tags:
            - 1.10
          retired:
            - { tag: 1.0, reason: gone }
            - { tag: 1.9.3, reason: why } # old
        """,
    ),
    "the style of the last one, where they differ": (
        """
        - name: worker
          retired:
            - {tag: 1.0, reason: gone}
            -   tag: 1.1
                reason: gone
        """,
        """
        - name: worker
          retired:
            - {tag: 1.0, reason: gone}
            -   tag: 1.1
                reason: gone
            -   tag: 1.9.3
                reason: why
        """,
    ),
    "a tag that is not listed": (
        """
        - name: worker
          source: ghcr.io/acme/worker
        """,
        """
        - name: worker
          source: ghcr.io/acme/worker
          retired:
            - tag: 1.9.3
              reason: why
        """,
    ),
    "lists that are not indented": (
        """
        - name: worker
          tags:
          - 1.9.3
          - 1.10
          # About what follows.
          source: ghcr.io/acme/worker
        - name: api
          source: api
        """,
        """
        - name: worker
          tags:
          - 1.10
          # About what follows.
          source: ghcr.io/acme/worker
          retired:
          - tag: 1.9.3
            reason: why
        - name: api
          source: api
        """,
    ),
    "a block mapping with comments inside": (
        """
        - name: worker
          tags:
            - tag: 1.9.3 # pinned
              # because of a bug
              source: ghcr.io/acme/worker # there
              # still inside
            # not inside
            - 1.10
        """,
        """
        - name: worker
          tags:
            # not inside
            - 1.10
          retired:
            - tag: 1.9.3 # pinned
              reason: why
              # because of a bug
              # there
              # still inside
        """,
    ),
    "the last tag, and the comment beside the key": (
        """
        - name: worker
          tags: # ours
            # Above.
            - 1.9.3
          source: ghcr.io/acme/worker
        """,
        """
        - name: worker
          # ours
            # Above.
          source: ghcr.io/acme/worker
          retired:
            - tag: 1.9.3
              reason: why
        """,
    ),
    "the last tag, where the image begins with its tags": (
        """
        - tags:
            - 1.9.3
          name: worker
        """,
        """
        -
          name: worker
          retired:
            - tag: 1.9.3
              reason: why
        """,
    ),
    "the last tag in brackets": (
        """
        - name: worker
          tags: ["1.9.3"] # ours
        """,
        """
        - name: worker
          # ours
          retired:
            - tag: 1.9.3
              reason: why
        """,
    ),
    "the first in brackets": (
        """
        - name: worker
          tags: [ 1.9.3, "1.10" ]  # ours\t†
        """,
        """
        - name: worker
          tags: [ "1.10" ]  # ours\t†
          retired:
            - tag: 1.9.3
              reason: why
        """,
    ),
    "the last in brackets": (
        """
        - name: worker
          tags: [1.0, 1.10 , 1.9.3]
          retired: [{tag: "1.1", reason: gone}]
        """,
        """
        - name: worker
          tags: [1.0, 1.10]
          retired: [{tag: "1.1", reason: gone}, {tag: 1.9.3, reason: why}]
        """,
    ),
    "brackets over several lines": (
        """
        - name: worker
          tags: [
            1.0, # first
            1.9.3, # second
            1.10  # third
          ]
          retired: [
            {tag: "1.1", reason: gone} # long ago
          ]
        """,
        """
        - name: worker
          tags: [
            1.0, # first
            1.10  # third
          ]
          retired: [
            {tag: "1.1", reason: gone}, # long ago
            {tag: 1.9.3, reason: why} # second
          ]
        """,
    ),
    "brackets that open and close beside an entry": (
        """
        - name: worker
          tags: [1.9.3, # first
                 1.10,
                 1.11]
          retired: [{tag: "1.1", reason: gone},
                    {tag: "1.2", reason: gone}]
        """,
        """
        - name: worker
          tags: [
                 1.10,
                 1.11]
          retired: [{tag: "1.1", reason: gone},
                    {tag: "1.2", reason: gone},
                    # first
                    {tag: 1.9.3, reason: why}]
        """,
    ),
    "commas in front": (
        """
        - name: worker
          tags: [ 1.0
                , 1.9.3 # second
                , 1.10
                ]
          retired: [{tag: "1.1", reason: gone}] # long ago
        """,
        """
        - name: worker
          tags: [ 1.0
                , 1.10
                ]
          # second
          retired: [{tag: "1.1", reason: gone}, {tag: 1.9.3, reason: why}] # long ago
        """,
    ),
    "a whole image in brackets": (
        "- {name: worker, tags: [1.9.3, 1.10], source: worker} # all\n",
        "- {name: worker, tags: [1.10], source: worker, retired: [{tag: 1.9.3, reason: why}]} # all\n",
    ),
    "a whole image in brackets, with one tag": (
        "- {name: worker, tags: [1.9.3], source: worker}\n",
        "- {name: worker, retired: [{tag: 1.9.3, reason: why}], source: worker}\n",
    ),
    "a whole image in brackets, with one tag and others retired": (
        "- {name: worker, tags: [1.9.3], retired: [{tag: '1', reason: gone}]}\n",
        "- {name: worker, retired: [{tag: '1', reason: gone}, {tag: 1.9.3, reason: why}]}\n",
    ),
    "a whole image in brackets, broken inside the entry": (
        "- {name: worker, tags:\n    [1.9.3], retired: []} # all\n",
        "- {name: worker, retired: [{tag: 1.9.3, reason: why}]} # all\n",
    ),
    "the first of those with commas in front": (
        """
        - name: worker
          tags: [
            1.9.3 # first
            , 1.10
            , ]
          retired: [
            {tag: '1', reason: gone},
          ]
        """,
        """
        - name: worker
          tags: [
            1.10
            , ]
          retired: [
            {tag: '1', reason: gone},
            {tag: 1.9.3, reason: why}, # first
          ]
        """,
    ),
    "brackets with a comment beside two entries": (
        "- name: worker\n  tags: [\n    1.10, 1.9.3, # both\n    1.11]\n  retired: [{tag: '1', reason: x}]\n",
        "- name: worker\n  tags: [\n    1.10, # both\n    1.11]\n"
        "  retired: [{tag: '1', reason: x}, {tag: 1.9.3, reason: why}]\n",
    ),
    "the last tag, with an anchor beside the key": (
        "- name: worker\n  tags: &mine # ours\n    -  # it\n      1.9.3\n",
        "- name: worker\n  # ours\n  retired:\n    - tag: 1.9.3  # it\n      reason: why\n",
    ),
    "an entry below its dash beside it": (
        "- name: worker\n  retired:\n    -\n        tag: '1'\n        reason: x\n",
        "- name: worker\n  retired:\n    -\n        tag: '1'\n        reason: x\n    - tag: 1.9.3\n      reason: why\n",
    ),
    "the first beside the bracket, with a comma in front of the second": (
        "- name: worker\n  tags: [1.9.3\n      , 1.10]\n  retired: [{tag: '1', reason: x}]\n",
        "- name: worker\n  tags: [\n      1.10]\n  retired: [{tag: '1', reason: x}, {tag: 1.9.3, reason: why}]\n",
    ),
    "the last beside the bracket": (
        "- name: worker\n  tags: [1.10,\n    1.9.3] # all\n  retired: [{tag: '1', reason: x}]\n",
        "- name: worker\n  tags: [1.10,\n    ] # all\n  retired: [{tag: '1', reason: x}, {tag: 1.9.3, reason: why}]\n",
    ),
    "an empty list in brackets": (
        "- name: worker\n  tags: [1.9.3, 1.10]\n  retired: []\n",
        "- name: worker\n  tags: [1.10]\n  retired: [{tag: 1.9.3, reason: why}]\n",
    ),
    "a pair without braces": (
        "- name: worker\n  tags: [1.10, tag: 1.9.3]\n",
        "- name: worker\n  tags: [1.10]\n  retired:\n    - tag: 1.9.3\n      reason: why\n",
    ),
    "retired already": (
        """
        - name: worker
          retired:
            - reason: >- # long
                so many
                words

              tag: 1.9.3 # kept
            - {tag: "1.0", reason: 'x'} # kept
        """,
        """
        - name: worker
          retired:
            - reason: why # long

              tag: 1.9.3 # kept
            - {tag: "1.0", reason: 'x'} # kept
        """,
    ),
    "retired already, with comments between an anchor and the reason": (
        "- name: worker\n  retired:\n    - tag: 1.9.3\n      reason: # x\n        &a # y\n        'z'\n",
        "- name: worker\n  retired:\n    - tag: 1.9.3\n      reason: # x\n        why # y\n",
    ),
    "retired already, with another key": (
        "- name: worker\n  retired: # x\n    - tag: 1.9.3\n      reason: x\n      even_if_referenced: true\n",
        "- name: worker\n  retired: # x\n    - tag: 1.9.3\n      reason: why\n      even_if_referenced: true\n",
    ),
    "retired already, in brackets": (
        "- name: worker\n  retired: [{ tag: 1.9.3, reason: 'it''s, so' } ] # x\n",
        "- name: worker\n  retired: [{ tag: 1.9.3, reason: why } ] # x\n",
    ),
    "an anchor that nothing refers to": (
        "- name: worker\n  tags: &mine\n    - &old 1.9.3\n    - 1.10\n",
        "- name: worker\n  tags: &mine\n    - 1.10\n  retired:\n    - tag: 1.9.3\n      reason: why\n",
    ),
    "an image with an anchor, and other entries with aliases": (
        "- &w\n  name: worker\n  tags: [{tag: 1.9, source: &t a}, {tag: '1', source: *t }, 1.9.3]\n",
        "- &w\n  name: worker\n  tags: [{tag: 1.9, source: &t a}, {tag: '1', source: *t }]\n"
        "  retired:\n    - tag: 1.9.3\n      reason: why\n",
    ),
    "an entry that holds an alias": (
        "- name: worker\n  source: &s ghcr.io/acme/worker\n  tags:\n    - {tag: 1.9.3, source: *s}\n    - 1.10\n",
        "- name: worker\n  source: &s ghcr.io/acme/worker\n  tags:\n    - 1.10\n"
        "  retired:\n    - tag: 1.9.3\n      reason: why\n",
    ),
}

# The tag 1.9.3 of the image worker is restored, as a bare tag.
RESTORED = {
    "one of two": (
        """
        - name: worker
          tags:
            - 1.10
            # About nothing.

          retired:
            - tag: 1.9.3 # why not
              reason: why
            - {tag: "1.0", reason: gone}
        """,
        """
        - name: worker
          tags:
            - 1.10
            - 1.9.3 # why not
            # About nothing.

          retired:
            - {tag: "1.0", reason: gone}
        """,
    ),
    "the only one": (
        """
        - name: worker
          tags: [1.10] # ours
          retired: # gone
            # Above.
            - {tag: 1.9.3, reason: why} # because
            # Below.

        - name: api
          source: api
        """,
        """
        - name: worker
          # because
          tags: [1.10, 1.9.3] # ours
          # gone
            # Above.
            # Below.

        - name: api
          source: api
        """,
    ),
    "without any tags, in front of retired": (
        """
        - name: worker
          source: worker
          # Those are bad.
          retired:
          - {tag: "1.0", reason: gone}
          - {tag: 1.9.3, reason: why}
        """,
        """
        - name: worker
          source: worker
          tags:
          - 1.9.3
          # Those are bad.
          retired:
          - {tag: "1.0", reason: gone}
        """,
    ),
    "where retired is the first key": (
        """
        - retired:
            - {tag: "1.0", reason: gone}
            - {tag: 1.9.3, reason: why}
          name: worker
        """,
        """
        - retired:
            - {tag: "1.0", reason: gone}
          name: worker
          tags:
            - 1.9.3
        """,
    ),
    "a whole image in brackets": (
        "- {name: worker, retired: [{tag: 1.9.3, reason: why}, {tag: '1', reason: x}]}\n",
        "- {name: worker, tags: [1.9.3], retired: [{tag: '1', reason: x}]}\n",
    ),
    "a whole image in brackets over several lines": (
        """
        - {
            name: worker,
            tags: [1.10],
            retired: [{tag: 1.9.3, reason: why}] # no more
          }
        """,
        """
        - {
            name: worker,
            # no more
            tags: [1.10, 1.9.3],
          }
        """,
    ),
}


def text_of(images: str) -> str:
    return HEAD + textwrap.indent(textwrap.dedent(images).lstrip("\n"), "  ")


def retire(data: bytes, tag: str = "1.9.3", reason: str = "why") -> bytes:
    return moved_to_retired(data, NAME, "worker", tag, reason)


def restore(data: bytes, new: NewTag | None = None) -> bytes:
    return moved_to_tags(data, NAME, "worker", new or NewTag("1.9.3"))


@pytest.mark.parametrize(("before", "after"), RETIRED.values(), ids=RETIRED)
def test_a_tag_is_retired_in_place(before: str, after: str) -> None:
    assert retire(text_of(before).encode()).decode() == text_of(after)


@pytest.mark.parametrize(("before", "after"), RESTORED.values(), ids=RESTORED)
def test_a_tag_is_restored_in_place(before: str, after: str) -> None:
    assert restore(text_of(before).encode()).decode() == text_of(after)


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
@pytest.mark.parametrize(("before", "after"), RETIRED.values(), ids=RETIRED)
def test_line_ends_stay_as_they_are(before: str, after: str, newline: str) -> None:
    data = text_of(before).replace("\n", newline).encode()
    assert retire(data) == text_of(after).replace("\n", newline).encode()


@pytest.mark.parametrize(("before", "after"), RETIRED.values(), ids=RETIRED)
def test_a_file_without_a_newline_at_its_end_stays_so(before: str, after: str) -> None:
    assert retire(text_of(before).removesuffix("\n").encode()).decode() == text_of(after).removesuffix("\n")


def test_a_byte_order_mark_stays() -> None:
    data = codecs.BOM_UTF8 + text_of("- name: worker\n  tags: [1.9.3, 1.10]\n").encode()
    assert retire(data).startswith(codecs.BOM_UTF8 + b"version: 1\n")


@pytest.mark.parametrize(
    ("siblings", "new", "written"),
    [
        ("- 1.10", NewTag("1.9.3", DIGEST), f"- tag: 1.9.3\n        digest: sha256:{HEX}"),
        ("- {tag: '2', source: a}", NewTag("1.9.3", DIGEST), f'- {{tag: 1.9.3, digest: "sha256:{HEX}"}}'),
        ("- {tag: '2', source: a}\n      - 1.10", NewTag("1.9.3", source="a/b"), "- {tag: 1.9.3, source: a/b}"),
        (
            "- {tag: '2', source: a}\n      - tag: '3'",
            NewTag("1.9.3", DIGEST, "ghcr.io/a:1"),
            f"- tag: 1.9.3\n        source: ghcr.io/a:1\n        digest: sha256:{HEX}",
        ),
    ],
)
def test_a_tag_with_more_to_say_is_written_like_its_siblings(siblings: str, new: NewTag, written: str) -> None:
    tags = f"{HEAD}  - name: worker\n    tags:\n      {siblings}\n"
    data = f"{tags}    retired: [{{tag: 1.9.3, reason: x}}]\n"
    assert restore(data.encode(), new).decode() == f"{tags}      {written}\n"


@pytest.mark.parametrize(
    ("tag", "written"),
    [
        *((tag, tag) for tag in ("1.10", "1", "latest", "v1", "_x", "1.9.3", "2024-01", "sha-1e3")),
        *((tag, f'"{tag}"') for tag in ("null", "Null", "yes", "No", "true", "FALSE", "on", "y")),
        *((tag, f'"{tag}"') for tag in ("2024-01-15", "2024-1-5", "1e3", "007", "0x1f", "0o7", "0b1", "1_0", "1.")),
    ],
)
def test_a_tag_is_quoted_where_a_reader_or_an_editor_would_take_it_for_something_else(tag: str, written: str) -> None:
    data = f'{HEAD}  - name: worker\n    source: a\n    retired:\n      - {{tag: "{tag}", reason: x}}\n'
    expected = f"{HEAD}  - name: worker\n    source: a\n    tags:\n      - {written}\n"
    assert restore(data.encode(), NewTag(tag)).decode() == expected


@pytest.mark.parametrize(
    ("reason", "in_block", "in_flow"),
    [
        ("CVE-2026-1234 (bad)", "CVE-2026-1234 (bad)", "CVE-2026-1234 (bad)"),
        ("gone, use 1.10", "gone, use 1.10", '"gone, use 1.10"'),
        ("see a:b", "see a:b", '"see a:b"'),
        *(
            (reason, f'"{reason}"', f'"{reason}"')
            for reason in ("use: 1.10", "over:", "a #1", "- x", "* x", "@x", "it's", "naïve 🙂", " x ", "[x]", "null")
        ),
        ("1.10", '"1.10"', '"1.10"'),
        ("12:30:00", '"12:30:00"', '"12:30:00"'),
        (r'a "b" \c', r'"a \"b\" \\c"', r'"a \"b\" \\c"'),
    ],
)
def test_a_reason_is_quoted_where_yaml_needs_it(reason: str, in_block: str, in_flow: str) -> None:
    block = f"{HEAD}  - name: worker\n    retired:\n      - tag: a\n        reason: x\n"
    flow = f"{HEAD}  - name: worker\n    retired: [{{tag: a, reason: x}}]\n"
    assert retire(block.encode(), "b", reason).decode() == f"{block}      - tag: b\n        reason: {in_block}\n"
    assert retire(flow.encode(), "a", reason).decode() == flow.replace("reason: x", f"reason: {in_flow}")


def test_the_same_reason_again_changes_nothing() -> None:
    data = text_of("- name: worker\n  retired:\n    - {tag: 1.9.3, reason: why}\n").encode()
    assert retire(data) == data


UNCERTAIN = {
    "a key that is an alias": (
        "- {name: &t tags, *t : [1.9.3, 1.10]}\n- {name: worker, *t : [1.9.3, 1.10]}\n",
        *(4, "the key `tags` is not written out here"),
    ),
    "a list reached through an alias": (
        "- {name: api, tags: &t [1.9.3, 1.10]}\n- {name: worker, tags: *t}\n",
        *(4, "the alias `*t` stands here for what another line says"),
    ),
    "a list that an alias refers to": (
        "- {name: worker, tags: &t [1.9.3, 1.10]}\n- {name: api, tags: *t}\n",
        *(3, "the anchor `&t` stands here, and an alias refers to it"),
    ),
    "an entry that an alias refers to": (
        "- name: worker\n  tags:\n    - &t 1.9.3\n    - 1.10\n- {name: api, tags: [*t ]}\n",
        *(5, "the anchor `&t` stands here"),
    ),
    "an entry reached through an alias": (
        "- {name: api, tags: [&t 1.9.3]}\n- name: worker\n  tags:\n    - *t\n    - 1.10\n",
        *(6, "the alias `*t` stands here"),
    ),
    "a part of an entry that an alias refers to": (
        "- name: worker\n  tags:\n    - tag: 1.9.3\n      source: &x b\n    - {tag: '2', source: *x}\n",
        *(6, "the anchor `&x` stands here"),
    ),
    "a dash behind something else": (
        "- name: worker\n  ? tags\n  : - 1.9.3\n    - 1.10\n",
        *(5, "an entry of the list does not start a line with its `-`"),
    ),
    "a separator that is no line end to an editor": (
        "- name: worker\n  tags: [1.9.3, 1.10] # a\u2028\n",
        *(4, "the line separator U+2028 is in the text"),
    ),
    "a list of one entry in an image written with question marks": (
        "- ? tags\n  :\n    - 1.9.3\n  ? name\n  : worker\n",
        *(3, "the image is written in a way that is not edited here"),
    ),
    "a comma in front of the line behind the last entry": (
        "- name: worker\n  tags: [1.10, 1.9.3]\n  retired: [\n    {tag: '1', reason: x}\n    , ]\n",
        *(7, "a comma starts the line behind the last entry"),
    ),
}


@pytest.mark.parametrize(("images", "line", "words"), UNCERTAIN.values(), ids=UNCERTAIN)
def test_what_cannot_be_edited_with_certainty_is_left_to_the_user(images: str, line: int, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        retire(text_of(images).encode())
    assert str(caught.value).startswith(f"retire worker:1.9.3: {NAME}:{line}: {words}")
    assert caught.value.hint == (
        "edit it by hand: remove `1.9.3` from `tags`, "
        "and list `{tag: 1.9.3, reason: why}` below the `retired` of `worker`"
    )


def test_restoring_by_hand_is_explained_too() -> None:
    text = text_of("- &w\n  name: worker\n  retired: &r [{tag: 1.9.3, reason: x}]\n- {name: api, retired: *r}\n")
    with pytest.raises(InvalidInput) as caught:
        restore(text.encode(), NewTag("1.9.3", DIGEST))
    assert str(caught.value).startswith(f"restore worker:1.9.3: {NAME}:5: the anchor `&r`")
    assert caught.value.hint == (
        "edit it by hand: remove `1.9.3` from `retired`, "
        f'and list `{{tag: 1.9.3, digest: "sha256:{HEX}"}}` below the `tags` of `worker`'
    )


def test_a_new_reason_by_hand_is_explained_too() -> None:
    text = text_of("- name: worker\n  retired:\n    - {tag: 1.9.3, reason: &r x}\n    - {tag: '1', reason: *r }\n")
    with pytest.raises(InvalidInput) as caught:
        retire(text.encode(), reason="use: 1.10")
    assert caught.value.hint == ('edit it by hand: below the `retired` of `worker`, give `1.9.3` `reason: "use: 1.10"`')


def test_a_reason_with_comments_inside_is_left_to_the_user() -> None:
    text = text_of("- name: worker\n  retired: [{tag: 1.9.3, reason: &a # x\n    old}]\n")
    with pytest.raises(InvalidInput, match="there are comments inside the reason"):
        retire(text.encode())


def test_a_file_that_is_no_manifest_is_not_edited() -> None:
    data = text_of("- name: worker\n  tags: []\n").encode()
    with pytest.raises(InvalidManifest, match="has no tags, no retired tags and no source"):
        retire(data)
    with pytest.raises(InvalidManifest, match="has no tags, no retired tags and no source"):
        restore(data)


def test_an_image_that_is_not_listed_is_named_with_those_that_are() -> None:
    data = text_of("- {name: api, tags: [1.9.3]}\n- {name: web, tags: [1.0]}\n").encode()
    for attempt in (retire, restore):
        with pytest.raises(InvalidInput, match=f"worker:1.9.3: {NAME} doesn't list the image") as caught:
            attempt(data)
        assert caught.value.hint == "it lists api, web"


def test_only_a_retired_tag_is_restored() -> None:
    with pytest.raises(InvalidInput, match=f"restore worker:1.9.3: {NAME} lists it already, it is not retired"):
        restore(text_of("- {name: worker, tags: [1.9.3]}\n").encode())
    with pytest.raises(InvalidInput, match=f"restore worker:1.9.3: {NAME} doesn't retire it"):
        restore(text_of("- {name: worker, tags: [1.9]}\n").encode())


@pytest.mark.parametrize(
    ("tag", "reason", "words", "hint"),
    [
        ("1.9.3", " ", "a reason may not be blank", "say why, and what to use instead"),
        ("1.9.3", "a\nb", "a reason is one line of printable characters", "write it in one line: a b"),
        ("1.9.3", "x" * 501, "a reason has at most 500 characters, here are 501", None),
        ("a b", "why", "a tag is 1 to 128 letters", "did you mean `a-b`?"),
    ],
)
def test_an_entry_that_would_be_at_fault_is_refused(tag: str, reason: str, words: str, hint: str | None) -> None:
    with pytest.raises(InvalidInput) as caught:
        retire(text_of("- {name: worker, tags: [1.9.3]}\n").encode(), tag, reason)
    assert str(caught.value).startswith(f"retire worker:{tag}: {words}")
    assert caught.value.hint == hint


def test_an_entry_that_would_contradict_the_image_is_refused() -> None:
    data = text_of("- {name: worker, source: 'docker-daemon:a', retired: [{tag: 1.9.3, reason: x}]}\n").encode()
    with pytest.raises(InvalidInput, match=r"restore worker:1.9.3: a digest pins an image in a registry") as caught:
        restore(data, NewTag("1.9.3", DIGEST))
    assert caught.value.hint == "remove the digest, or give the tag a source in a registry"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_tag_of_the_examples_is_retired_and_restored(path: Path) -> None:
    data = path.read_bytes()
    for image in read_manifest(data, path.name).manifest.images:
        for tag in image.tags:
            new = NewTag(tag.tag, tag.digest, str(tag.source) if tag.source else None)
            retired = moved_to_retired(data, path.name, image.name, tag.tag, "why")
            restored = read_manifest(moved_to_tags(retired, path.name, image.name, new), path.name).manifest
            (again,) = (each for each in restored.images if each.name == image.name)
            others = tuple(other for other in image.tags if other != tag)
            assert again == image.model_copy(update={"tags": (*others, tag)})
        for entry in image.retired:
            restored = read_manifest(moved_to_tags(data, path.name, image.name, NewTag(entry.tag)), "f").manifest
            (again,) = (each for each in restored.images if each.name == image.name)
            assert again.tags[-1].tag == entry.tag
            assert again.retired == tuple(other for other in image.retired if other != entry)


def test_the_guard_is_lifted_in_a_new_entry_alone() -> None:
    data = b"version: 1\nimages:\n  - name: worker\n    tags: [1.9]\n"
    lifted = moved_to_retired(data, "f", "worker", "1.9", "old", even_if_referenced=True)
    assert lifted == (
        b"version: 1\nimages:\n  - name: worker\n    retired:\n"
        b"      - tag: 1.9\n        reason: old\n        even_if_referenced: true\n"
    )
    assert moved_to_retired(lifted, "f", "worker", "1.9", "older", even_if_referenced=True).count(b"older") == 1
    plain = moved_to_retired(data, "f", "worker", "1.9", "old")
    with pytest.raises(InvalidInput, match="retires it already") as caught:
        moved_to_retired(plain, "f", "worker", "1.9", "old", even_if_referenced=True)
    assert caught.value.hint == "add `even_if_referenced: true` to its entry by hand"
