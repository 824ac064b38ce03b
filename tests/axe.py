"""axe-core, the accessibility checker, for the browser tests: fetched once with npm, kept in the user's cache."""

import functools
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import platformdirs

VERSION = "4.14.1"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]  # level AA and what it holds


@functools.cache
def source() -> str | None:
    """The script, or None where it is not kept and npm cannot fetch it. MODTS_AXE names a file to take instead."""
    kept = Path(os.environ.get("MODTS_AXE") or platformdirs.user_cache_path("modts-tests") / f"axe-core-{VERSION}.js")
    if not kept.is_file() and shutil.which("npm"):
        with tempfile.TemporaryDirectory() as folder:
            command = ["npm", "pack", "--silent", f"axe-core@{VERSION}"]
            done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
            packed = Path(folder) / f"axe-core-{VERSION}.tgz"
            if done.returncode == 0 and packed.is_file():
                with tarfile.open(packed) as archive:
                    text = archive.extractfile("package/axe.min.js").read()
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(text)
    return kept.read_text(encoding="utf-8") if kept.is_file() else None


def violations(browser, only: list[str] = TAGS) -> list[str]:
    """What axe-core finds on the open page at level AA, or of these rules alone: the rule, and the first places."""
    browser.run(source() + "; 0")
    return browser.run(f"""axe.run(document, {{runOnly: {only}, resultTypes: ["violations"]}}).then(found =>
      found.violations.map(one => one.id + ": " + one.nodes.slice(0, 3).map(node => node.target.join(" ") + " " +
        (node.any[0] || node.all[0] || node.none[0] || {{}}).message).join(" | ")))""")
