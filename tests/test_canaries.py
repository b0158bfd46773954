"""The search for canaries finds them, wherever they are."""

from pathlib import Path

from tests.canaries import list_files, search


def test_a_canary_is_found_by_its_file_also_across_chunks(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "large").write_bytes(b"x" * ((1 << 20) - 3) + b"canary" + b"x" * 10)
    (tmp_path / "small").write_text("other, canary")
    (tmp_path / "none").write_text("canar")
    (tmp_path / "link").symlink_to("small")
    done = search({"first": "canary", "second": "other"}, list_files(tmp_path))
    assert done.found == {
        str(tmp_path / "a" / "large"): {"first"},
        str(tmp_path / "small"): {"first", "second"},
    }
    assert done.bytes == sum(path.stat().st_size for path in list_files(tmp_path))
