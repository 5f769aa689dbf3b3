"""The terminal: ``geo-service``. One file a family of commands, all registered on one app.

Every command exits 0 when fine, 1 when faults were found, 2 on bad input or usage. With ``--json``
the machine form goes to stdout and nothing else does.
"""

from __future__ import annotations

import os
import sys

from geo_service.cli._terminal import INTERRUPTED, App, fail
from geo_service.errors import GeoServiceError


def build() -> App:
    """Give the app with every command on it."""
    from geo_service.cli import (
        check,
        columns,
        counts,
        crosswalk,
        demo,
        drawing,
        editing,
        facilities,
        hierarchy,
        keys,
        life_circles,
        locate,
        operate,
        profile,
        repair,
        revisions,
        siting,
        statements,
        walking,
    )

    app = App()
    for room in (
        demo,
        check,
        repair,
        columns,
        hierarchy,
        revisions,
        statements,
        locate,
        walking,
        counts,
        facilities,
        life_circles,
        siting,
        drawing,
        editing,
        crosswalk,
        profile,
        operate,
        keys,
    ):
        room.register(app)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    _keep_answers_apart()
    try:
        code = build().run(given)
    except GeoServiceError as error:
        code = fail(error, as_json="--json" in given)
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)


def _keep_answers_apart() -> None:
    """Let compiled libraries print to stderr: HiGHS 1.16 greets on stdout, whatever it is told."""
    if sys.stdout is not sys.__stdout__ or sys.stdout is None or sys.stdout.fileno() != 1:
        return  # somebody is listening in, as tests do
    answers = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(answers, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors)
