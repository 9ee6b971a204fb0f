"""What a reader of a directory output may rely on at any moment."""

from __future__ import annotations

from pipeline.runtime.durable import is_temporary


def assert_readable(found: dict[str, bytes], whole: dict[str, bytes]) -> None:
    """See to it that every final name has its final content, and that the mark comes last.

    Args:
        found: What there is, by its name.
        whole: What an uninterrupted run leaves.
    """
    final = {name: content for name, content in found.items() if not is_temporary(name)}
    assert {name: whole[name] for name in final} == final
    if "_SUCCESS" in final:
        assert final == whole
