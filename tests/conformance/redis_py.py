"""redis-py's own tests of publishing and subscribing against the Redis door: `redis_py.py --url URL --folder FOLDER`.

They are fetched pinned, from the package registry, and kept in FOLDER; nothing of them is in this repository. What must not
pass is named here with the reason; that it fails is checked too, so that the list stays true.
"""

import argparse
import pathlib
import subprocess
import sys
import tarfile
import xml.etree.ElementTree

VERSION = "8.1.0"
SHA256 = "6e1a19beef9225c83efd689c7e6b7da2d5215b1f42cd13b7fc3714d0a09c7b25"
TESTS = "tests/test_pubsub.py"
# Each takes a moment; only what hangs takes so long.
TIMEOUT_S = "60"

FAILING = {
    "TestPubSubConnectionKilled::test_connection_error_raised_when_connection_dies": "there is no CLIENT KILL",
}


def fetched(folder):
    """The folder of the package's source, fetched when it is missing."""
    source = folder / f"redis-{VERSION}"
    if (source / "fetched").exists():
        return source
    folder.mkdir(parents=True, exist_ok=True)
    # pip runs what a source package says of its build, so what comes is checked by pip itself, before that.
    pinned = folder / "requirements.txt"
    pinned.write_text(f"redis=={VERSION} --hash=sha256:{SHA256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    pip += ["--require-hashes", "--no-binary", "redis", "--dest", str(folder), "--requirement", str(pinned)]
    subprocess.run(pip, check=True)
    archive = folder / f"redis-{VERSION}.tar.gz"
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (source / "fetched").touch()
    return source


def run(source, url, protocol):
    """Runs the tests; answers how many passed, and the names of those that did not."""
    report = source.parent / f"report-{protocol}.xml"
    report.unlink(missing_ok=True)
    words = [
        *("-m", "pytest", TESTS, "-q", "-p", "no:cacheprovider", "-m", "not onlycluster", "--tb=short", "--no-header"),
        *("--timeout", TIMEOUT_S, "--redis-url", f"{url}/0?protocol={protocol}", "--junitxml", str(report)),
    ]
    done = subprocess.run([sys.executable, *words], cwd=source, capture_output=True, text=True)
    if not report.exists():
        sys.exit(f"the tests did not run to their end:\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}")
    passed, failed = 0, {}
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname').rsplit('.', 1)[-1]}::{case.get('name')}"
        problems = [*case.findall("failure"), *case.findall("error")]
        if problems:
            failed[name] = problems[0].get("message", "")
        elif not case.findall("skipped"):
            passed += 1
    return passed, failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--folder", required=True, type=pathlib.Path)
    args = parser.parse_args()
    source = fetched(args.folder)
    wrong = []
    for protocol in (2, 3):
        passed, failed = run(source, args.url, protocol)
        print(f"redis-py {VERSION}, RESP {protocol}: {passed} of {passed + len(failed)} passed")
        wrong += [f"RESP {protocol}: {name} failed: {why}" for name, why in failed.items() if name not in FAILING]
        wrong += [f"RESP {protocol}: {name} passed, though {why}" for name, why in FAILING.items() if name not in failed]
        if passed < 100:
            wrong.append(f"RESP {protocol}: only {passed} tests passed")
    if wrong:
        sys.exit("\n".join(wrong))


main()
