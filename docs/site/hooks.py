"""What turns the files of this repository into its site, beside mkdocs.yml.

Some pages stand where a reader of the repository looks for them: the guides beside the README, figures beside the
benchmarks, cards beside the models. They join the site here, and links between files become links between pages.
"""

import base64
import json
import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = {
    "COMPRESSION_GUIDE.md": "COMPRESSION_GUIDE.md",
    "ATTENTION_VISUALIZATION_GUIDE.md": "ATTENTION_VISUALIZATION_GUIDE.md",
    "VISUALIZATION_SUMMARY.md": "VISUALIZATION_SUMMARY.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "RESULTS.md": "benchmarks/RESULTS.md",
    "models/tiny.md": "src/keepmap/embedded/tiny/README.md",
    "models/agent.md": "src/keepmap/embedded/agent/README.md",
    "models/smollm2.md": "src/keepmap/embedded/smollm2/README.md",
    **{path.name: f"benchmarks/{path.name}" for path in (ROOT / "benchmarks").glob("*.csv")},
}
"""Page or table of the site -> its file in the repository, where that is not in docs/."""
HOME = "README.md"
"""Of the repository; the site's first page says the same at more length."""
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ ")
FENCE = re.compile(r"^\s*(```|~~~)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of a folder in the place of `FOLDER/*`."""
    assert config.nav is not None
    config.nav = [_listed(entry, Path(config.docs_dir)) for entry in config.nav]
    return config


def _listed(entry: Any, docs: Path) -> Any:
    if isinstance(entry, dict):
        return {title: _listed(below, docs) for title, below in entry.items()}
    if isinstance(entry, list):
        return [_listed(below, docs) for below in entry]
    if not entry.endswith("/*"):
        return entry
    folder = entry.removesuffix("/*")
    pages = [path for path in (docs / folder).iterdir() if path.suffix in (".md", ".ipynb")]
    # README.md is the folder's own page.
    pages.sort(key=lambda path: (path.name != "README.md", path.name))
    return [f"{folder}/{path.with_suffix('.md').name}" for path in pages]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand outside of docs/, and a page for each notebook."""
    for page, source in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        folder, name = posixpath.split(notebook.src_uri)
        content, pictures = notebook_page(json.loads(notebook.content_string), name)
        files.append(File.generated(config, notebook.src_uri.replace(".ipynb", ".md"), content=content))
        for picture, png in pictures.items():
            files.append(File.generated(config, f"{folder}/{picture}", content=png))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages."""
    known = {file.src_uri for file in files}
    # A note to whoever would change the page comes before its title, which mkdocs then does not see.
    markdown = re.sub(r"\A<!--.*?-->\s*", "", markdown, flags=re.S)
    text = linked(markdown, page.file.src_uri, lambda target: target in known)
    return one_title(text, str(page.title))


def linked(markdown: str, page: str, is_page: Callable[[str], bool]) -> str:
    """A page's text with links to other files as the site has them.

    A link to a file that the site does not show (a program, the licence) leaves its words alone; one to no file stays.

    >>> linked("[x](docs/study.md) [y](LICENSE)", "COMPRESSION_GUIDE.md", lambda page: page == "study.md")
    '[x](study.md) y'
    >>> linked("[two\\nlines](docs/study.md)", "COMPRESSION_GUIDE.md", lambda page: page == "study.md")
    '[two\\nlines](study.md)'
    """
    source = OUTSIDE.get(page, f"docs/{page}")
    pages = {path: target for target, path in OUTSIDE.items()} | {HOME: "index.md"}

    def replaced(link: re.Match[str]) -> str:
        picture, words, target = link.groups()
        path, mark, anchor = target.partition("#")
        if not path or "://" in target or target.startswith("mailto:"):
            return link.group()
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        place = pages.get(file, file.removeprefix("docs/"))
        if not page.startswith("notebooks/") and is_page(place.replace(".ipynb", ".md")):
            place = place.replace(".ipynb", ".md")
        if not is_page(place) and is_page(f"{place}/README.md"):
            place = f"{place}/README.md"
        if not is_page(place):
            # A file that the site does not show, or none: that one is left for mkdocs to refuse.
            return words if (ROOT / file).exists() else link.group()
        return f"{picture}[{words}]({posixpath.relpath(place, posixpath.dirname(page) or '.')}{mark}{anchor})"

    # A link's words may go on in the next line.
    pieces, fenced = list[tuple[bool, list[str]]](), False
    for line in markdown.split("\n"):
        fenced ^= bool(FENCE.match(line))
        is_text = not fenced and not line.startswith("    ")
        if not pieces or pieces[-1][0] != is_text or not line:
            pieces.append((is_text, []))
        pieces[-1][1].append(line)
    texts = [(is_text, "\n".join(lines)) for is_text, lines in pieces]
    return "\n".join(LINK.sub(replaced, text) if is_text else text for is_text, text in texts)


def one_title(markdown: str, title: str) -> str:
    """A page with one title: where a file has several parts, each with its own, they become its chapters.

    The first one stays the page's title where it has no chapters of its own; else the page gets a new one.

    >>> one_title("# A\\n\\n# B\\n\\n## C", "Page")
    '# A\\n\\n## B\\n\\n### C'
    >>> one_title("# A\\n\\n## B\\n\\n# C", "Page")
    '# Page\\n\\n## A\\n\\n### B\\n\\n## C'
    """
    lines, headings, fenced = markdown.split("\n"), [], False
    for place, line in enumerate(lines):
        fenced ^= bool(FENCE.match(line))
        if not fenced and HEADING.match(line):
            headings.append(place)
    levels = [len(lines[place].split(" ")[0]) for place in headings]
    if levels.count(1) < 2:
        return markdown
    title_stays = levels[1] == 1
    for place in headings[title_stays:]:
        lines[place] = f"#{lines[place]}"
    return "\n".join(lines if title_stays else [f"# {title}", "", *lines])


def notebook_page(notebook: dict[str, Any], name: str) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown: its text, its code, and what that printed and drew; and the pictures by name.

    >>> cell = {"cell_type": "code", "source": ["1 + 1"], "outputs": [{"data": {"text/plain": ["2"]}}]}
    >>> text, pictures = notebook_page({"cells": [cell]}, "sum.ipynb")
    >>> print(text)
    [The notebook](sum.ipynb), to run it yourself.
    <BLANKLINE>
    ```python
    1 + 1
    ```
    <BLANKLINE>
    ```text
    2
    ```
    """
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        for output in cell.get("outputs", ()):
            data = output.get("data", {"text/plain": output.get("text", "")})
            if "image/png" in data:
                picture = f"{name.removesuffix('.ipynb')}_{len(pictures)}.png"
                pictures[picture] = base64.b64decode("".join(data["image/png"]))
                parts.append(f"![What the cell above draws]({picture})")
            else:
                parts.append(f"```text\n{''.join(data['text/plain']).rstrip()}\n```")
    after_title = int(notebook["cells"][0]["cell_type"] == "markdown")
    parts.insert(after_title, f"[The notebook]({name}), to run it yourself.")
    return "\n\n".join(parts), pictures
