"""Click in the person's language: help texts are catalogue keys, and errors are one line each.

A command is declared with `command` and `option` from here; ``help_key`` is then a key of the catalogues.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NoReturn, TypeVar, cast

import click

from rtstt_lab.errors import RtsttError, StorageError
from rtstt_lab.texts import preferred_language, text

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C: 128 + SIGINT."""

_Function = TypeVar("_Function", bound=Callable[..., Any])
_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""What writing to a redirected output fails with."""
_HEADINGS: Final = {"Options": "cli.options", "Commands": "cli.commands"}


def say(key: str, /, **parameters: object) -> str:
    """The catalogue's text in the person's language."""
    return text(key, preferred_language(os.environ), **parameters)


def report_error(error: RtsttError) -> None:
    """Writes one line on stderr in the person's language."""
    message = error.localized(preferred_language(os.environ))
    click.echo(say("cli.error", message=message), err=True)


class _Formatter(click.HelpFormatter):
    """Headings in the person's language."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, prefix or f"{say('cli.usage')} ")

    def write_heading(self, heading: str) -> None:
        super().write_heading(say(_HEADINGS[heading]) if heading in _HEADINGS else heading)


class _Context(click.Context):
    formatter_class = _Formatter


class _Localized:
    """Turns ``help``, given as a catalogue key, into the text whenever it is read."""

    _help_key: str | None = None

    @property
    def help(self) -> str | None:
        """The text in the person's language."""
        return say(self._help_key) if self._help_key else None

    @help.setter  # noqa: A003 - click's name
    def help(self, key: str | None) -> None:
        self._help_key = key


class Option(_Localized, click.Option):
    """An option whose ``help`` is a catalogue key."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Name and text, click's own "default" in the person's language."""
        record = super().get_help_record(ctx)
        return record and (record[0], record[1].replace("[default: ", f"[{say('cli.default')}: "))


class Command(_Localized, click.Command):
    """A command whose ``help`` is a catalogue key."""

    context_class = _Context

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """``--help``, described in the person's language."""
        return _help_option(super().get_help_option(ctx))

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """The usage line, its placeholders in the person's language."""
        pieces = super().collect_usage_pieces(ctx)
        return [say("cli.options_metavar") if piece == "[OPTIONS]" else piece for piece in pieces]


def command(name: str, *, help_key: str) -> Callable[[Callable[..., Any]], Command]:
    """Declares a command; ``help_key`` names its help text."""
    return cast("Callable[[Callable[..., Any]], Command]", click.command(name, cls=Command, help=help_key))


def option(*declarations: str, help_key: str, **attributes: Any) -> Callable[[_Function], _Function]:
    """Declares an option; ``help_key`` names its help text."""
    return click.option(*declarations, cls=Option, help=help_key, **attributes)


class LazyGroup(_Localized, click.Group):
    """Subcommands, imported when they are asked for, and the handling of errors that all of them share.

    Args:
        name: of the program.
        commands_at: where each subcommand is: ``{"models": "package.module:attribute"}``.
        help: catalogue key.
    """

    context_class = _Context

    def __init__(self, name: str, *, commands_at: Mapping[str, str], help: str) -> None:  # noqa: A002 - click's name
        super().__init__(name, help=help, context_settings={"help_option_names": ["-h", "--help"]})
        self._commands_at = commands_at
        self.params.append(
            Option(
                ["--version"],
                is_flag=True,
                expose_value=False,
                is_eager=True,
                callback=_show_version,
                help="cli.version",
            )
        )

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """``--help``, described in the person's language."""
        return _help_option(super().get_help_option(ctx))

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The usage line, its placeholders in the person's language."""
        return [say("cli.options_metavar"), say("cli.command_metavar")]

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, without importing what they stand for."""
        return sorted(self._commands_at)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Imports one command."""
        if cmd_name not in self._commands_at:
            return None
        module, attribute = self._commands_at[cmd_name].split(":")
        return cast("click.Command", getattr(import_module(module), attribute))

    def main(  # type: ignore[override] # click's overloads promise a return in non-standalone mode only
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Runs the command line and ends the process with the right code."""
        try:
            code = super().main(args, prog_name, standalone_mode=False, **extra)
            if sys.stdout is not None:  # closed before the start
                sys.stdout.flush()
        except RtsttError as error:
            report_error(error)
            code = error.exit_code
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = error.exit_code
        except click.UsageError as error:
            _report_usage(error)
            code = error.exit_code
        except (click.Abort, KeyboardInterrupt):
            code = INTERRUPTED
        except BrokenPipeError:
            _discard_stdout()
            code = 0
        except Exception as error:
            if os.environ.get("RTSTT_DEBUG"):
                raise
            if isinstance(error, OSError) and error.errno in _NO_ROOM and error.filename is None:
                _discard_stdout()
                report_error(StorageError("output_failed", reason=error.strerror))
            else:
                click.echo(say("cli.internal", kind=type(error).__name__, reason=error), err=True)
            code = 1
        sys.exit(code if isinstance(code, int) else 0)


def _discard_stdout() -> None:
    """What is still buffered would fail again while the interpreter shuts down."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version  # noqa: PLC0415 - needed by this flag alone

        click.echo(f"rtstt-lab {version('rtstt-lab')}")
        ctx.exit()


def _help_option(help_option: click.Option | None) -> click.Option | None:
    if help_option is not None:
        help_option.help = say("cli.help_option")
    return help_option


def _report_usage(error: click.UsageError) -> None:
    if error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
        click.echo(say("cli.try_help", command=error.ctx.command_path), err=True)
    click.echo(say("cli.error", message=_usage_message(error)), err=True)


def _usage_message(error: click.UsageError) -> str:
    """Click's own messages are English; these are the ones that a person can meet."""
    match error:
        case click.NoSuchOption():
            near = ", ".join(error.possibilities or ()) or "–"
            return say("cli.no_such_option", name=error.option_name, near=near)
        case click.exceptions.NoSuchCommand():
            return say("cli.no_such_command", name=error.command_name, known=", ".join(_commands(error.ctx)))
        case click.BadParameter():
            return _parameter_message(error)
        case click.BadOptionUsage():
            return say("cli.bad_option", name=error.option_name)
        case _:
            return error.format_message()


def _parameter_message(error: click.BadParameter) -> str:
    name = str(error.param.get_error_hint(error.ctx)).strip("'") if error.param else "–"
    if isinstance(error, click.MissingParameter):
        return say("cli.missing_parameter", name=name)
    if error.param and isinstance(error.param.type, click.Choice):
        return say("cli.invalid_choice", name=name, allowed=", ".join(map(str, error.param.type.choices)))
    return say("cli.invalid_value", name=name, reason=error.message)


def _commands(context: click.Context | None) -> list[str]:
    command = context.command if context else None
    return command.list_commands(context) if context and isinstance(command, click.Group) else []
