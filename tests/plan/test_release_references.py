"""Every way in which a release's files name an image, and those that can't be told."""

from textwrap import dedent

import pytest

from replsync.oci.reference import parse_reference
from replsync.plan.release_references import ReleaseFile, mentions
from tests.plan.release_snippets import ANY, DIGEST, HOSTS, OTHER, WORKER, found, lines_naming, unresolved

POD = """
  {indent}containers:
  {indent}  - name: main
  {indent}    image: nginx
  {indent}{kind}:
  {indent}  - name: other
  {indent}    image: registry.replicated.com/myapp/worker:1.9.3
"""


@pytest.mark.parametrize("kind", ["containers", "initContainers", "ephemeralContainers"])
@pytest.mark.parametrize(
    "above",
    [
        "kind: Deployment\nspec:\n  template:\n    spec:",
        "kind: CronJob\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:",
        "kind: Pod\nspec:",
        "kind: List\nitems:\n- kind: Pod\n  spec:",
    ],
)
def test_the_containers_of_a_workload(above: str, kind: str) -> None:
    indent = " " * (len(above.split("\n")[-1]) - len(above.split("\n")[-1].lstrip()))
    text = above + POD.format(indent=indent, kind=kind)
    assert lines_naming(text) == [above.count("\n") + 7]
    assert [str(mention.reference) for mention in found(text)] == ["docker.io/library/nginx", str(WORKER)]


@pytest.mark.parametrize(
    "text",
    [
        "image: registry.replicated.com/myapp/worker:1.9.3",
        "image: 'registry.replicated.com/myapp/worker:1.9.3'",
        'image: "registry.replicated.com\\/myapp/\\x77orker:1.9.3"',
        "image: Registry.Replicated.COM/myapp/worker:1.9.3",
        "image: registry.replicated.com:443/myapp/worker:1.9.3",
        "image: images.acme.example/myapp/worker:1.9.3",
        f"image: registry.replicated.com/myapp/worker@{DIGEST}",
        f"image: registry.replicated.com/myapp/worker:other@{DIGEST}",
        f"image: registry.replicated.com/myapp/worker:1.9.3@{OTHER}",
        "image: !!str registry.replicated.com/myapp/worker:1.9.3",
        '{"kind": "Pod", "spec": {"containers": [{"image": "registry.replicated.com/myapp/worker:1.9.3"}]}}',
        '{{repl LocalImageName "registry.replicated.com/myapp/worker:1.9.3"}}: a',
        """image: '{{repl LocalImageName "registry.replicated.com/myapp/worker:1.9.3" }}'""",
        """image: {{repl LocalImageName "registry.replicated.com/myapp/worker:1.9.3" }}""",
        """image: {{repl LocalImageName 'registry.replicated.com/myapp/worker:1.9.3' }}""",
        """image: {{repl LocalImageName `registry.replicated.com/myapp/worker:1.9.3` }}""",
        """image: repl{{ LocalImageName "registry.replicated.com/myapp/worker:1.9.3" }}""",
        r"""image: "repl{{LocalImageName \"registry.replicated.com/myapp/worker:1.9.3\"}}" """,
        # Elsewhere than in an image's place.
        "env: [{name: WORKER, value: registry.replicated.com/myapp/worker:1.9.3}]",
        "args: [--image=registry.replicated.com/myapp/worker:1.9.3]",
        "note: we run registry.replicated.com/myapp/worker:1.9.3.",
        "from: docker://registry.replicated.com/myapp/worker:1.9.3",
        "registry.replicated.com/myapp/worker:1.9.3: as a key",
        "? [registry.replicated.com/myapp/worker:1.9.3]",
        # Split values.
        "image: {registry: registry.replicated.com, repository: myapp/worker, tag: 1.9.3}",
        "image: {repository: registry.replicated.com/myapp/worker, tag: 1.9.3, pullPolicy: Always}",
        "image: {registry: registry.replicated.com/myapp, repository: worker, tag: 1.9.3}",
        "image: {registry: registry.replicated.com/, repository: /myapp/worker, tag: 1.9.3}",
        "image: {registry: 'https://registry.replicated.com', repository: myapp/worker, tag: 1.9.3}",
        "image: {registry: registry.replicated.com, name: myapp/worker, tag: 1.9.3}",
        "image: {name: registry.replicated.com/myapp/worker, tag: 1.9.3}",
        "image: {registry: docker.io, repository: registry.replicated.com/myapp/worker, tag: 1.9.3}",
        f"image: {{repository: registry.replicated.com/myapp/worker, digest: '{DIGEST}'}}",
        f"image: {{repository: registry.replicated.com/myapp/worker, tag: '', digest: '{DIGEST}'}}",
        f"image: {{repository: registry.replicated.com/myapp/worker, tag: '{DIGEST}'}}",
        f"image: {{repository: registry.replicated.com/myapp/worker, sha: '{DIGEST[7:]}'}}",
        f"image: {{repository: registry.replicated.com/myapp/worker, tag: 'x@{DIGEST}'}}",
        "worker: {image: registry.replicated.com/myapp/worker, tag: 1.9.3}",
        "worker: {image: registry.replicated.com/myapp/worker, version: 1.9.3}",
        "worker: {image: 'worker:1.9.3', registry: registry.replicated.com/myapp}",
        "{workerImageRepository: registry.replicated.com/myapp/worker, workerImageTag: 1.9.3}",
        "{worker_image: registry.replicated.com/myapp/worker, worker_image_tag: 1.9.3}",
        "{workerImage: registry.replicated.com/myapp/worker, tag: 1.9.3}",
        "worker: {registry: registry.replicated.com, name: myapp/worker, version: 1.9.3}",
        "images: [{name: x, newName: registry.replicated.com/myapp/worker, newTag: 1.9.3}]",
        # What the chart adds may be anything.
        "image: {repository: registry.replicated.com/myapp/worker}",
        "image: {repository: registry.replicated.com/myapp/worker, tag: ''}",
        "image: {repository: registry.replicated.com/myapp/worker, tag: null}",
        "image: {image: registry.replicated.com/myapp/worker, tag: }",
        "{global: {imageRegistry: registry.replicated.com}, image: {repository: myapp/worker, tag: 1.9.3}}",
        "{global: {imageRegistry: registry.replicated.com/myapp}, image: {repository: worker, tag: 1.9.3}}",
        # Aliases and merges.
        "{a: &a registry.replicated.com/myapp/worker, b: {image: *a, tag: 1.9.3}}",
        "{a: &a {registry: registry.replicated.com, repository: myapp/worker}, b: {<<: *a, tag: 1.9.3}}",
        "{a: &a {registry: registry.replicated.com}, b: &b {tag: 1.9.3}, c: {<<: [*a, *b], repository: myapp/worker}}",
        # Keys that stand there twice.
        "{image: registry.replicated.com/myapp/worker:1.9.3, image: nginx}",
        "{repository: nginx, repository: registry.replicated.com/myapp/worker, tag: 1.9.3, tag: 1.10}",
        # Other ways to write a file.
        "image: registry.replicated.com/myapp/worker:1.9.3 # comment",
        "%YAML 1.1\n---\nimage: registry.replicated.com/myapp/worker:1.9.3",
        "\ufeffimage: registry.replicated.com/myapp/worker:1.9.3",
    ],
)
def test_a_form_protects_the_tag_and_no_other(text: str) -> None:
    assert lines_naming(text) == [text.count("\n") + 1]
    assert lines_naming(text, parse_reference("registry.replicated.com/myapp/web:1.9.3")) == []
    assert unresolved(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "image: registry.replicated.com/myapp/worker:1.9",
        "image: registry.replicated.com/myapp/worker",
        f"image: registry.replicated.com/myapp/worker@{OTHER}",
        "image: registry.replicated.com/other/worker:1.9.3",
        "image: worker:1.9.3",
        "image: myapp/worker:1.9.3",
        "image: proxy.replicated.com/proxy/myapp/registry.replicated.com/myapp/worker:1.9.3",
        "image: {registry: docker.io, repository: myapp/worker, tag: 1.9.3}",
        "image: {registry: registry.replicated.com, repository: myapp/worker, tag: 1.9}",
        "# image: registry.replicated.com/myapp/worker:1.9.3",
        "{name: worker, version: 1.9.3}",
        "imagePullSecrets: [{name: '{{repl LocalRegistryImagePullSecret}}'}]",
        "value: 'repl{{ ConfigOption \"hostname\" }}'",
        "url: 'https://{{repl ConfigOption \"hostname\" }}:8443/login'",
        "image: ''",
        "image: https://acme.example/logo.png",
        "backgroundImage: a picture",
        "image:",
        "properties: {image: {type: string}, tag: {type: string}}",
        "",
        "---\n---\n...\n# nothing\n",
    ],
)
def test_what_names_another_image_or_none_protects_nothing(text: str) -> None:
    assert lines_naming(text) == []
    assert unresolved(text) == []


def test_no_tag_means_latest() -> None:
    latest = WORKER.with_tag("latest")
    assert lines_naming("image: registry.replicated.com/myapp/worker", latest) == [1]
    assert lines_naming(f"image: registry.replicated.com/myapp/worker@{OTHER}", latest) == []


@pytest.mark.parametrize("tag", ["1.10", "1", "0x1f", "1e3", "yes", "2024-01-01", "007", "1_0", "on", ".inf"[1:]])
def test_a_tag_that_looks_like_a_number_stays_the_text_it_is(tag: str) -> None:
    text = f"image:\n  repository: registry.replicated.com/myapp/worker\n  tag: {tag}\n"
    assert [mention.reference for mention in found(text)] == [WORKER.with_tag(tag)]


APPLICATION = """\
apiVersion: kots.io/v1beta1
kind: Application
spec:
  icon: https://acme.example/logo.png
  additionalImages:
    - registry.replicated.com/myapp/worker:1.9.3
    - nginx:1
    - '{{repl LocalImageName "registry.replicated.com/myapp/web:2"}}'
  excludedImages:
"""


def test_the_additional_images_of_an_application() -> None:
    assert [(mention.line, str(mention.reference)) for mention in found(APPLICATION)] == [
        (6, str(WORKER)),
        (7, "docker.io/library/nginx:1"),
        (8, "registry.replicated.com/myapp/web:2"),
    ]


def test_images_that_an_application_excludes_do_not_count() -> None:
    text = APPLICATION + "    - registry.replicated.com/myapp/worker:1.9.3\n    - nginx\n"
    assert lines_naming(text) == []
    assert [mention.line for mention in found(text)] == [7, 8]


def test_an_excluded_image_counts_where_else_it_is_named() -> None:
    text = APPLICATION + "    - registry.replicated.com/myapp/worker:1.9.3\n---\nimage: " + str(WORKER)
    assert lines_naming(text) == [12]


def test_a_template_among_excluded_images_excludes_nothing() -> None:
    template = """    - '{{repl ternary "registry.replicated.com/myapp/worker:1.9.3" "nginx:1" }}'\n"""
    assert lines_naming(APPLICATION + template) == [6]


def test_an_additional_image_that_is_not_well_written_is_still_seen() -> None:
    text = APPLICATION.replace("- nginx:1", "- docker://registry.replicated.com/myapp/worker:1.9.3\n    - {image: web}")
    assert lines_naming(text) == [6, 7]
    assert "docker.io/library/web" in {str(mention.reference) for mention in found(text)}


def test_another_kind_of_application_excludes_nothing() -> None:
    text = APPLICATION.replace("kots.io/v1beta1", "argoproj.io/v1alpha1") + f"    - {WORKER}\n"
    assert lines_naming(text) == [6, 10]


@pytest.mark.parametrize("kind", ["Preflight", "SupportBundle", "Collector"])
@pytest.mark.parametrize("collectors", ["collectors", "hostCollectors", "remoteCollectors"])
def test_the_collectors_of_troubleshoot(kind: str, collectors: str) -> None:
    text = dedent(f"""\
        apiVersion: troubleshoot.sh/v1beta2
        kind: {kind}
        spec:
          {collectors}:
            - run:
                image: registry.replicated.com/myapp/worker:1.9.3
            - runPod:
                podSpec:
                  containers:
                    - image: registry.replicated.com/myapp/worker:1.9.3
        """)
    assert lines_naming(text) == [6, 10]


@pytest.mark.parametrize("version", ["v1beta1", "v1beta2"])
def test_the_values_of_a_chart(version: str) -> None:
    text = dedent(f"""\
        apiVersion: kots.io/{version}
        kind: HelmChart
        spec:
          chart: {{name: worker, chartVersion: 1.9.3}}
          values:
            image: registry.replicated.com/myapp/worker:1.9.3
          optionalValues:
            - when: 'repl{{{{ ConfigOptionEquals "a" "b" }}}}'
              values:
                worker:
                  image:
                    registry: registry.replicated.com
                    repository: myapp/worker
                    tag: 1.9.3
          builder:
            sidecars:
              - image: {{repository: registry.replicated.com/myapp/worker, tag: 1.9.3}}
        """)
    assert lines_naming(text) == [6, 13, 17]
    assert unresolved(text) == []


@pytest.mark.parametrize("image", ["myapp/worker:1.9.3", "worker:1.9.3", "/myapp/worker:1.9.3", "worker"])
def test_in_the_values_of_a_chart_the_registry_may_be_written_elsewhere(image: str) -> None:
    text = f"apiVersion: kots.io/v1beta2\nkind: HelmChart\nspec:\n  values:\n    image: {image}\n"
    tag = WORKER if ":" in image else WORKER.with_tag("latest")
    assert lines_naming(text, tag) == [5]
    assert lines_naming(text.replace("image: ", "image: docker.io/").replace("//", "/"), tag) == []
    assert lines_naming(text, parse_reference("registry.replicated.com/myapp/my-worker:1.9.3")) == []


CONFIG_MAP = """\
kind: ConfigMap
data:
  pod.yaml: |
    kind: Pod
    spec:
      image: registry.replicated.com/myapp/worker:1.9.3
  values.yaml: |
    image:
      registry: registry.replicated.com
      repository: myapp/worker
      tag: 1.9.3
  folded: >
    see
    registry.replicated.com/myapp/worker:1.9.3
"""


def test_texts_inside_of_texts() -> None:
    assert lines_naming(CONFIG_MAP) == [6, 10, 12]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_document_is_read_whatever_the_line_ends(end: str) -> None:
    text = f"--- # 1\nimage: {WORKER}\n--- # 2\n...\n---\na: |\n  x\n  image: {WORKER}\n--- {{image: '{WORKER}'}}\n"
    assert lines_naming(text.replace("\n", end)) == [2, 8, 9]


@pytest.mark.parametrize(
    "text",
    [
        f"image: {WORKER}",
        "repository: myapp/worker\ntag: 1.9.3",
        'image: "registry.replicated.com/myapp/\\x77orker:1.9.3"',
        'image: "registry.replicated.com/myapp/wor\\\n  ker:1.9.3"',
        "image: '{{repl x}}'",
    ],
)
def test_only_documents_that_may_name_an_image_are_read(text: str) -> None:
    files = [ReleaseFile("a", f"image: nginx\nbroken: [\n---\n{text}\n".encode())]
    only = mentions(files, {"tools/worker"}, HOSTS)
    assert only
    assert {mention.line for mention in only} == {mention.line for mention in mentions(files, ANY, HOSTS)} - {1, 2, 3}
    assert mentions([ReleaseFile("a", b"image: nginx")], {"worker"}, HOSTS) == ()


def test_mentions_are_sorted_by_file_and_line_and_each_is_there_once() -> None:
    a = ReleaseFile("a", f"image: {WORKER}\nb: {WORKER}\nimage: '{{{{repl x}}}}'".encode())
    b = ReleaseFile("b", b"image: nginx")
    places = [(mention.file, mention.line) for mention in mentions([b, a, a], ANY, HOSTS)]
    assert places == [("a", 1), ("a", 2), ("a", 3), ("b", 1)]
    assert mentions([b, a], ANY, HOSTS) == mentions([a, b], ANY, HOSTS)
