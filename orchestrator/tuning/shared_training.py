"""Which trial trains a commit: trials that need the same commit at the same time do not train it twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence


class Claims:
    """A Ray actor that grants each missing commit to one trial, and lets the others wait for it.

    A commit's id names its parent's, so that chains that share a commit share all before it: who is granted the first
    missing commit of a chain gets the rest of the chain as well.
    """

    def __init__(self) -> None:
        self._holder: dict[str, str] = {}
        self._made: set[str] = set()
        self._changed = asyncio.Condition()

    async def take(self, missing: Sequence[str], holder: str) -> bool:
        """Wait until the first of `missing` is free or made.

        Args:
            missing: ids of the commits that the trial needs and has not found, oldest first.

        Returns:
            True: all of `missing` are the trial's to make. False: the first was made by another; look again.
        """
        first = missing[0]
        async with self._changed:
            while first not in self._made and self._holder.get(first, holder) != holder:
                await self._changed.wait()
            if first in self._made:
                return False
            self._holder.update(dict.fromkeys(missing, holder))
            return True

    async def made(self, commit: str) -> None:
        """The commit is stored."""
        async with self._changed:
            self._holder.pop(commit, None)
            self._made.add(commit)
            self._changed.notify_all()

    async def release(self, holder: str) -> None:
        """The trial has ended: the commits that it was granted and has not made are free."""
        async with self._changed:
            self._holder = {commit: other for commit, other in self._holder.items() if other != holder}
            self._changed.notify_all()
