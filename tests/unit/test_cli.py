from __future__ import annotations

from pathlib import Path

import pytest

from bridge import cli
from bridge.commands import plugin_zip
from bridge.errors import BridgeError, Code

COMMANDS = sorted(cli._COMMANDS)


def failing(error: BaseException) -> object:
    def run(arguments: object, home: Path) -> int:
        raise error

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_help_begins_with_an_example_that_the_parser_takes(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([command, "--help"])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Example: krita-bridge {command}")
    assert "exit codes: 0 done" in shown
    example = cli._COMMANDS[command][0].EXAMPLE.replace('"a red boat"', "boat").split()
    assert cli.parser().parse_args(example[1:]).command == command


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BridgeError(Code.BAD_INPUT, "Bad.", "Mend it."), 2),
        (BridgeError(Code.NOT_RUNNING, "Bad.", "Mend it."), 3),
        (BridgeError(Code.OUT_OF_MEMORY, "Bad.", "Mend it."), 1),
        (BridgeError(Code.CANCELLED, "Bad.", "Mend it."), 130),
    ],
)
def test_an_error_is_a_sentence_a_hint_and_a_meaningful_code(
    error: BridgeError,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(plugin_zip, "run", failing(error))
    assert cli.main(["plugin-zip"]) == code
    assert capsys.readouterr().err == "Bad.\nMend it.\n"


def test_an_interrupt_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plugin_zip, "run", failing(KeyboardInterrupt()))
    assert cli.main(["plugin-zip"]) == 130
    assert capsys.readouterr().err == "Cancelled.\n"


def test_a_bug_is_one_sentence_and_its_traceback_goes_to_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plugin_zip, "run", failing(RuntimeError("a bug")))
    assert cli.main(["plugin-zip", "--home", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "Traceback" not in error
    log = tmp_path / "log" / "command.log"
    assert str(log) in error and "a bug" in log.read_text()
    cli.main(["plugin-zip", "--home", str(tmp_path), "--debug"])
    assert "RuntimeError: a bug" in capsys.readouterr().err
