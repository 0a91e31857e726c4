import io

from rich.live import Live
from rich.table import Table
from rich.text import Text

from orchestrator.progress.safe_console import SafeConsole

EVIL = "\x1b]0;x\x1b\\ \x9b2J \u202e"


def test_whatever_is_printed_is_text() -> None:
    out = io.StringIO()
    console = SafeConsole(file=out, width=200, markup=False)
    table = Table(EVIL)
    table.add_row(EVIL)
    table.add_row(Text(EVIL))
    for part in (EVIL, Text(EVIL, style="bold"), table):
        console.print(part)
    assert out.getvalue().replace("\n", "").isprintable()
    assert out.getvalue().count("\\x9b2J") == 5


def test_a_live_display_on_a_terminal_still_moves_the_cursor() -> None:
    out = io.StringIO()
    console = SafeConsole(file=out, width=80, force_terminal=True, legacy_windows=False)
    with Live(Text(EVIL), console=console, transient=True):
        pass
    written = out.getvalue()
    assert "\x1b[?25l" in written and "\\x1b]0;x" in written
    assert "\x9b" not in written and "\u202e" not in written and "\x1b]0" not in written
