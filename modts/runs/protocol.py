"""The frozen protocol: which code and settings decide the numbers, named in a committed file before the external test is opened.

The external test stays decide, so nothing may be chosen by them. They are sealed: their loader asks here, and is refused until
`results/protocol.json` names the protocol, and again as soon as a module that decides a number, or a tuned setting, is another than the file
says. Freezing anew needs a reason, which stays in the file with what was frozen before.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from modts.errors import ModtsError

from .code import code_version, hash_of, protocol_modules
from .files import key, read_json, write_json
from .places import results_dir, root


def protocol() -> dict:
    """The protocol as it stands: its hash, and the hashes of what it consists of.

    Returns
    -------
    dict
        "protocol": twelve hex digits over the rest; "modules": of every stage and backbone, of rows and effects; "tuned": the committed
        winners of the search, profiles/tuned/*.yaml.
    """
    parts = {"modules": {name: hash_of(name) for name in protocol_modules()}, "tuned": _tuned()}
    return {"protocol": key(parts), **parts}


def frozen_path() -> Path:
    """The committed file that names the frozen protocol."""
    return results_dir() / "protocol.json"


def frozen() -> dict | None:
    """What was frozen, or None.

    Raises
    ------
    ModtsError
        The file is there and is not readable, or its hash is not of what it lists.
    """
    path = frozen_path()
    if not path.is_file():
        return None
    record = read_json(path)
    try:
        whole = record["protocol"] == key({name: record[name] for name in ("modules", "tuned")})
    except (KeyError, TypeError):
        whole = False
    if not whole:
        raise ModtsError(f"{path} does not name a protocol that fits its own hash; bring it back from git.")
    return record


def drifted(record: dict) -> list[str]:
    """What differs now from a frozen protocol: names of modules and tuned files, in alphabetical order."""
    now = protocol()
    pairs = [(record[part], now[part]) for part in ("modules", "tuned")]
    return sorted(name for then, here in pairs for name in {*then, *here} if then.get(name) != here.get(name))


def freeze(why: str = "") -> dict:
    """Write down the protocol as it stands, and what was frozen before.

    Parameters
    ----------
    why : str
        The reason to freeze anew, where another protocol was frozen.

    Raises
    ------
    ModtsError
        The package has changes that no commit holds, or another protocol is frozen and no reason is given.
    """
    before, now, version = frozen(), protocol(), code_version()
    if version.endswith("-dirty"):
        raise ModtsError(
            "The package differs from its commit; commit first, so that what is frozen can be found again."
        )
    if before and before["protocol"] == now["protocol"]:
        return before
    if before and not why.strip():
        changed = drifted(before)
        raise ModtsError(
            f"Another protocol was frozen on {before['frozen']}; {len(changed)} of its parts differ ({', '.join(changed[:3])}"
            f"{', ...' if len(changed) > 3 else ''}): give the reason to freeze anew with --why, it stays in the file."
        )
    past = (
        [*before["before"], {name: before[name] for name in ("protocol", "frozen", "code_version", "why")}]
        if before
        else []
    )
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    record = {**now, "frozen": when, "code_version": version, "why": why.strip(), "before": past}
    write_json(frozen_path(), record)
    return record


def ask_unsealed(what: str) -> str:
    """The hash of the frozen protocol, for who opens the external test.

    Parameters
    ----------
    what : str
        What is asked for, such as "physionet_2012_c".

    Raises
    ------
    ModtsError
        No protocol is frozen, or the code is no longer the frozen one.
    """
    record = frozen()
    if record is None:
        raise ModtsError(
            f"{what} holds the external test, which stays sealed until the protocol is frozen: `modts freeze` writes {frozen_path()}, "
            "which is to be committed."
        )
    changed = drifted(record)
    if changed:
        raise ModtsError(
            f"{what} holds the external test, which is sealed again: since the protocol was frozen ({record['frozen']}) these have changed: "
            f"{', '.join(changed[:5])}{', ...' if len(changed) > 5 else ''}; take the frozen code, or freeze anew with a reason."
        )
    return record["protocol"]


def _tuned() -> dict[str, str]:
    files = sorted((root() / "profiles" / "tuned").glob("*.yaml"))
    return {f"tuned/{file.name}": hashlib.sha256(file.read_bytes()).hexdigest()[:12] for file in files}
