from __future__ import annotations

import inspect

import pytest

from likewise.data.docstrings import REST_CHARACTERS, Docstring, read_docstring

REST = "More is said here, in quite enough words to be found."


def parts(text: str) -> tuple[str, str]:
    found = read_docstring(inspect.cleandoc(text))
    assert isinstance(found, Docstring), found
    return found.first_sentence, found.rest


@pytest.mark.parametrize(
    ("opening", "sentence", "remainder"),
    [
        ("Read the whole file.", "Read the whole file.", ""),
        ("Read the whole file", "Read the whole file", ""),
        ("Read a file, e.g. A table. It may be large.", "Read a file, e.g. A table.", "It may be large. "),
        ("Return version 1.2 of it. Then stop.", "Return version 1.2 of it.", "Then stop. "),
        ("Is the file open? Or not.", "Is the file open?", "Or not. "),
        ("Read the\n    whole file. Now.", "Read the whole file.", "Now. "),
        ("Read the :class:`~io.File` and ``mode`` now.", "Read the io.File and mode now.", ""),
        ("Read a :ref:`good file <files>` or [a link](http://x.y) now.", "Read a good file or a link now.", ""),
        ("Read the whole file\n    Args:\n      path: where it is", "Read the whole file", "Args: path: where it is "),
    ],
)
def test_the_first_sentence_is_parted_from_the_rest(opening: str, sentence: str, remainder: str) -> None:
    assert parts(f"{opening}\n\n    {REST}") == (sentence, remainder + REST)


def test_what_is_not_prose_is_left_out() -> None:
    text = f"""Read the whole file.

    .. versionadded:: 1.2
       It was not there before.

    .. note:: {REST}

    Examples
    --------
    >>> read("file")
    'content'
    >>> for line in file:
    ...     print(line)
    a line

    After the example it goes on::

        code = here()

    Then *more* prose with **weight**.

    ```python
    fenced = code()
    ```

    .. _target: http://nowhere
    .. plot::

        picture()

    The end.
    """
    assert parts(text)[1] == f"{REST} Examples After the example it goes on Then more prose with weight. The end."


def test_a_signature_in_front_is_no_sentence() -> None:
    assert parts(f"dot(a, b, out=None)\n\nMultiply two arrays.\n\n{REST}") == ("Multiply two arrays.", REST)


@pytest.mark.parametrize(
    "text",
    [
        "Read the whole file.",
        "Read the whole file.\n\nToo short.",
        "Read it.\n\n" + REST,
        " ".join(["word"] * 41) + ".\n\n" + REST,
        "x_1 + 2 * y[3] / 4 = 5 - (7)\n\n" + REST,
        ">>> read the whole file\n\n" + REST,
        "path (str, optional): The file to read.\n\n" + REST,
        ":param path: The file to read.\n\n" + REST,
        "path : str The file to read.\n\n" + REST,
        "Read the whole file.\n\n>>> a = read('file one two three four five six seven eight')\n",
        f"Read the whole file.\n\n{REST} Read the whole file.",
    ],
)
def test_docstrings_without_two_good_parts_are_passed_over(text: str) -> None:
    assert read_docstring(text) is None


def test_a_long_rest_is_cut_at_a_word() -> None:
    rest = parts("Read the whole file.\n\n" + "several words " * 400)[1]
    assert REST_CHARACTERS - 10 < len(rest) <= REST_CHARACTERS
    assert rest.split()[-1] in ("several", "words")
