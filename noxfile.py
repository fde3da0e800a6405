"""The tests that boot nothing, with each Python, and with the oldest and the newest versions of the dependencies.

`make matrix` runs them all, `.cache/matrix/bin/nox -s 'tests-3.13(oldest)' -- tests/unit` some of them.
"""

import os
from pathlib import Path

import nox

# As the classifiers name them.
PYTHONS = nox.project.python_versions(nox.project.load_toml("pyproject.toml"))
RESOLUTIONS = {"oldest": "lowest-direct", "newest": "highest"}
"""Which versions uv is to choose of those that pyproject.toml allows; of what these need in turn, always the newest."""
QUICK = ("-n", "4", "--dist", "loadscope", "-m", "not real_guests", "--ignore=tests/unit/docs", "tests/integration",
         "tests/unit")  # fmt: skip
"""Without the tests of the site and of what its pages show: these want the generator and what judges types, too."""
KEPT = "PYTHONPATH,PYTHONDONTWRITEBYTECODE,HYPOTHESIS_STORAGE_DIRECTORY"

# pyenv keeps each Python in a folder of its own, and shows of them only who was chosen.
_PYENV = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *map(str, sorted(_PYENV.glob("versions/*/bin")))])

nox.options.default_venv_backend = "uv"
# A Python that is not here is an error that names it: skipped, or one that is made otherwise than those of
# distributions, it would tell nothing.
nox.options.error_on_missing_interpreters = True
nox.options.download_python = "never"
nox.options.envdir = ".cache/matrix/sessions"


@nox.session(python=PYTHONS)
@nox.parametrize("versions", [nox.param(name, id=name) for name in RESOLUTIONS])
def tests(session: nox.Session, versions: str) -> None:
    """Run the tests that boot neither guests nor hosts, or those that are named."""
    session.install("--editable", ".", "--group", "test", "--resolution", RESOLUTIONS[versions])
    session.run("uv", "pip", "list", "--quiet")
    # Their libvirtd needs root; the virtual environment does not.
    root = [] if os.geteuid() == 0 else ["sudo", f"--preserve-env={KEPT}"]
    session.run(*root, f"{session.bin}/python", "-m", "pytest", "-q", *(session.posargs or QUICK), external=True)
