"""A docstring as prose: its first sentence, and the rest without markup, doctests and version notes."""

from __future__ import annotations

import re
from dataclasses import dataclass

QUERY_WORDS = (3, 40)
REST_WORDS = 8  # fewer leave nothing to find
REST_CHARACTERS = 2000  # longer ones are cut at a word; an encoder reads a few hundred tokens

ABBREVIATIONS = ("e.g.", "i.e.", "etc.", "vs.", "cf.", "a.k.a.", "approx.", "resp.", "incl.", "eq.", "fig.", "no.", "et al.")
SENTENCE_END = re.compile(r"[.!?][)\"'`]*(?=\s+[A-Z(\"'`\[<{*:0-9]|\s*$)")
CALL = re.compile(r"^[\w.]+\(.*\)(\s*(->|=).*)?$", re.DOTALL)
NO_SENTENCE = re.compile(r">>>|^:\w+|^@\w+|^[\w.*]+ \([^)]*\)\s*:|^[\w.*]+ : ")  # a doctest, or a parameter's description
SECTION = re.compile(
    r"\n(?=[ \t]*[A-Z][A-Za-z ]{2,30}::?[ \t]*(?:\n|$))"
)  # Args:, Returns:, Class attributes: on a line of their own
ROLE = re.compile(r":[A-Za-z][\w:+.-]*:`([^`]+)`")
TARGET = re.compile(r"^(.*\S)\s*<[^>]*>$", re.DOTALL)
BACKTICKS = re.compile(r"`+([^`]*)`+_*")
LINK = re.compile(r"\[([^\]]+)\]\((?:[^()\s]|\([^()]*\))*\)")
DIRECTIVE = re.compile(r"^(\s*)\.\.\s+(?:[\w:-]+::|\[|_|\w+\s*$).*$")
KEPT_DIRECTIVE = re.compile(
    r"^(\s*)\.\.\s+(?:note|warning|tip|important|hint|caution|attention|admonition|topic|rubric)::\s*(.*)$"
)
RULE = re.compile(r"^\s*([-=~^*+#\"])\1{2,}\s*$")
FENCE = re.compile(r"^\s*(```|~~~)")


@dataclass(frozen=True, slots=True)
class Docstring:
    """The first sentence, and the rest as one line of prose."""

    first_sentence: str
    rest: str


def read_docstring(docstring: str) -> Docstring | None:
    """A (dedented) docstring's two parts; None where one is missing, or too short or too long to be worth finding.

    The first sentence has 3 to 40 words, most of them letters; the rest at least 8 words after markup, doctests, code
    blocks and notes on versions have been taken out. A rest of more than 2,000 characters is cut at a word.
    """
    paragraphs = re.split(r"\n\s*\n", docstring.strip())
    if CALL.match(paragraphs[0].strip()) and len(paragraphs) > 1:  # functions written in C repeat their signature
        paragraphs = paragraphs[1:]
    opening, *sections = SECTION.split(paragraphs[0], maxsplit=1)
    first, remainder = _first_sentence(_line(_without_markup(opening)))
    prose = _prose("\n\n".join([*sections, *paragraphs[1:]]))
    rest = _line(f"{remainder}\n{prose}")
    words = first.split()
    letters = sum(character.isalpha() for character in first)
    if not QUERY_WORDS[0] <= len(words) <= QUERY_WORDS[1] or letters < 0.6 * len(first) or NO_SENTENCE.search(first):
        return None
    if len(re.findall(r"[^\W\d_]{2,}", rest)) < REST_WORDS or first.rstrip(".").lower() in rest.lower():
        return None
    return Docstring(first, _cut(rest))


def _first_sentence(text: str) -> tuple[str, str]:
    """The text up to its first full stop that ends a sentence, and what follows; all of it where there is none."""
    for end in SENTENCE_END.finditer(text):
        if not text[: end.end()].lower().endswith(ABBREVIATIONS):
            return text[: end.end()].strip(), text[end.end() :].strip()
    return text.strip(), ""


def _prose(text: str) -> str:
    """The lines that are prose: no doctests, code blocks, section rules, or notes on versions."""
    kept: list[str] = []
    fenced = in_doctest = False
    hidden: int | None = None  # the indentation of a directive whose block is left out
    for line in text.expandtabs().split("\n"):
        indentation = len(line) - len(line.lstrip())
        if FENCE.match(line):
            fenced = not fenced
        elif fenced:
            continue
        elif not line.strip():
            in_doctest = False
        elif hidden is not None and indentation > hidden:
            continue
        else:
            hidden = None
            in_doctest = in_doctest or line.lstrip().startswith(">>>")
            if in_doctest or RULE.match(line):
                continue
            if note := KEPT_DIRECTIVE.match(line):
                kept.append(note.group(2))
            elif DIRECTIVE.match(line):
                hidden = indentation
            else:
                if line.rstrip().endswith("::"):  # a literal block follows
                    hidden = indentation
                    line = line.rstrip().removesuffix("::")
                kept.append(line)
    return _without_markup("\n".join(kept))


def _without_markup(text: str) -> str:
    text = ROLE.sub(lambda role: _target(role.group(1)), text)
    text = LINK.sub(r"\1", text)
    text = BACKTICKS.sub(lambda quoted: _target(quoted.group(1)), text)
    return re.sub(
        r"\*\*(\S[^*\n]*?)\*\*|(?<![\w*])\*(\w[^*\n]*?)\*(?![\w*])", lambda found: found.group(1) or found.group(2), text
    )


def _target(text: str) -> str:
    """What a role shows: the words before <target>, without the marks that shorten a name."""
    shown = TARGET.match(text)
    return shown.group(1) if shown else text.lstrip("~!")


def _line(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str) -> str:
    return text if len(text) <= REST_CHARACTERS else text[:REST_CHARACTERS].rsplit(" ", 1)[0]
