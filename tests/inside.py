"""The command line within this process: many commands, one start."""

from lamarck.cli.app import app
from lamarck.errors import ConfigError
from typer.testing import CliRunner


def lamarck(*arguments, code=0):
    """Run a command; return click's result with `stdout` and `stderr`."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
    assert done.exit_code == code, (done.exit_code, done.output, done.exception)
    return done


def complaint(*arguments):
    """Return what a wrong request is answered with."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(done.exception, ConfigError), (done.output, done.exception)
    return str(done.exception)
