"""The disk below mongod is full, under load; then there is room again."""

import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from tests.faults.conftest import installed, settings_of
from tests.faults.load import loaded, settled
from tests.replica_set import replica_set

DISK = "600m"
"""Half of it is mongod's journal before anything is stored."""
DOCUMENT = 1_000_000
"""Bytes: a few of them fill what was left in files that mongod has allocated already."""


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Path]:
    """A small file system."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small file system needs Linux, root and mount(8)")
    folder = tmp_path / "disk"
    folder.mkdir()
    await anyio.run_process(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)])
    yield folder
    await anyio.run_process(["umount", "--lazy", str(folder)])


def fill(folder: Path) -> Path:
    """Take all the room that there is; returns the file that takes it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 65536):
                pass
        except OSError:
            return filler
    raise AssertionError("the disk has no end")


async def test_what_was_acknowledged_is_there_after_the_disk_was_full(disk: Path) -> None:
    async with replica_set(disk, members=1) as replicas:
        [member] = replicas.members
        async with installed(settings_of(replicas)) as store:
            async with loaded(store, settings_of(replicas, timeout=2), DOCUMENT) as load:
                await load.accepted_more()
                filler = await anyio.to_thread.run_sync(fill, disk)
                with anyio.fail_after(60):
                    assert await member.ended() != 0  # mongod gives up when it can't write its journal
                await load.refused_more()
                filler.unlink()
                await member.start()
                await load.accepted_more()
            await settled(load, store)
