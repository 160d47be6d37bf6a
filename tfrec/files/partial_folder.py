"""The folder of work in progress that can be resumed: begun whole, and worked in by one living process at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from tfrec.errors import InvalidInput
from tfrec.files.atomic_writes import atomic_folder
from tfrec.files.leftovers import delete_folder, sweep
from tfrec.files.locks import lock
from tfrec.files.outputs import AlreadyExists, OutputKind, check_output_folder


class PartialFolder:
    """`OUT.partial`, beside the folder `OUT` that the work is for.

    Args:
        out: The folder that the work is for.
        kind: How a folder of such work is known.
    """

    def __init__(self, out: Path, kind: OutputKind) -> None:
        self.out, self.folder, self.kind = out, out.with_name(out.name + ".partial"), kind

    def refuse_existing(self, force: bool) -> None:
        """Raises `InvalidInput` if a process is at work, if `force` is false and work was interrupted, or if there is
        something else.
        """
        check_output_folder(self.folder, self.kind, force=True)
        if self.folder.exists():
            with self.locked():
                pass
            if not force:
                raise AlreadyExists(
                    f"{self.folder} holds {self.kind.name}. Pass --resume to continue, or --force to start again."
                )

    @contextlib.contextmanager
    def begun(self, write: Callable[[Path], None], force: bool = False) -> Iterator[None]:
        """Creates the folder, in place of an interrupted one with `force`, and holds its lock.

        Args:
            write: Writes the first files to a folder; they appear together.
            force: Whether to replace an interrupted folder.
        """
        with contextlib.ExitStack() as kept:  # the lock, without a moment in which another process could take it
            with contextlib.ExitStack() as before:
                if self.folder.exists():
                    before.enter_context(self.locked())
                with atomic_folder(self.folder, self.kind, force, kept) as work:
                    write(work)
            yield

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the lock of the folder, also when it is renamed.

        Raises:
            InvalidInput: A living process holds it, or has just given the folder another name.
        """
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(lock(self.folder))
            except BlockingIOError:
                raise InvalidInput(
                    f"Another process is at work in {self.folder}. Wait for it, or choose another name."
                ) from None
            except FileNotFoundError:
                raise InvalidInput(
                    f"{self.folder} is gone: another process has just finished or replaced it. Run the command again."
                ) from None
            except OSError:  # the file system has no locks
                pass
            yield

    def recover(self) -> None:
        """Clears away what killed processes left; a folder that they had set aside gets its name back."""
        sweep(self.folder.parent, self.folder.name)

    def delete(self) -> None:
        """Deletes the folder."""
        delete_folder(self.folder)
