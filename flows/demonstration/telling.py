"""What the terminal shows of a demonstration while it runs."""

from __future__ import annotations

from rich.markup import escape
from rich.rule import Rule

from flows.console import out
from flows.display import err
from tasks.demonstration.story import Promise


class Teller:
    """Says what happens, line by line.

    Args:
        quiet: Say nothing, where the answer is one JSON document.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet

    def act(self, number: int, title: str, why: str, seconds: float) -> None:
        """A new act begins."""
        if not self._quiet:
            clock = f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
            out.print()
            out.print(Rule(f"[bold]{number} · {escape(title)}[/] [dim]{clock}[/]", align="left"))
            out.print(escape(why), highlight=False)

    def command(self, words: str) -> None:
        """A command is run."""
        self._say(f"[bold cyan]$ {escape(words)}[/]")

    def aside(self, line: str) -> None:
        """A line that a command says, or what is waited for."""
        if line.strip():
            self._say(f"[dim]│ {escape(line)}[/]")

    def verdict(self, sentence: str) -> None:
        """What Nocturne said."""
        self._say(f"[bold]→[/] {escape(sentence)}")

    def promise(self, promise: Promise) -> None:
        """A promise was looked at."""
        mark = "[green]✓[/]" if promise.kept else "[red]✗[/]"
        self._say(f"{mark} {escape(promise.said)} [dim]({escape(promise.found)})[/]")

    def end(self, page: str, broken: list[Promise], seconds: float) -> None:
        """It is over."""
        if self._quiet:
            return
        for one in broken:
            message = f"not kept: {one.said}; {one.found}"
            err.print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
        word = "[red]not every promise was kept[/]" if broken else "[green]every promise held[/]"
        out.print(f"\n{word}, {seconds / 60:.1f} minutes", highlight=False)
        out.print(
            f"[bold]the story, with plots:[/] {escape(page)}", highlight=False, soft_wrap=True
        )

    def _say(self, marked: str) -> None:
        if not self._quiet:
            out.print(f"  {marked}", highlight=False, soft_wrap=True)
