#!/usr/bin/env python3
"""Measures the tool beside what a user would write instead, and prints the table for the README.

    python3 tests/compare/compare.py            all cases, five runs each
    python3 tests/compare/compare.py --runs 9 --only cpu,wall
    python3 tests/compare/compare.py --skip-build --gzip

It builds the release binaries, installs the peer's libraries (requirements.txt) into target/compare,
and runs both against the sandbox on 127.0.0.1, one after the other in turn, so that whatever else the
machine does falls on both. Beside them runs a bare loop (bare.rs) that only fetches and decodes. User and system time and the peak of memory are the kernel's own (wait4).

There is no threshold here, and this is no part of `cargo test`: timings are not tests. Run it on a
machine that has nothing else to do, and read the spread before the median.
"""

import argparse
import contextlib
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from datetime import date
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "compare"
TOOL = ROOT / "target" / "release" / "collective-insights"
SANDBOX = ROOT / "target" / "release" / "sandbox"
BARE = ROOT / "target" / "release" / "examples" / "bare"
# The sandbox's alerts are of the 24 hours before it started, which is a while before the runs.
HOURS = "48"


# --- Preparing -----------------------------------------------------------------------------------------


def build():
    command = ["cargo", "build", "--release", "--locked", "--workspace", "--bins", "--example", "bare"]
    subprocess.run(command, cwd=ROOT, check=True)


def peer_python():
    """An interpreter with the peer's libraries, made once."""
    folder = WORK / "venv"
    python = folder / "bin" / "python"
    wanted = (HERE / "requirements.txt").read_text()
    stamp = folder / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(folder, clear=True, with_pip=True)
        install = [python, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"]
        subprocess.run(install, check=True)
        stamp.write_text(wanted)
    return python


@contextlib.contextmanager
def sandbox(falcon=0, carbonblack=0, latency=0, gzip=False):
    """The sandbox's environment, while it runs."""
    flags = ["--falcon", falcon, "--carbonblack", carbonblack, "--latency-ms", latency, "--full-size"]
    flags += [] if gzip else ["--no-gzip"]
    command = [str(SANDBOX), *map(str, flags)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            environment = {}
            while "RF_API_KEY" not in environment:
                line = process.stdout.readline()
                if not line:
                    sys.exit(f"the sandbox ended: {' '.join(command)}")
                if line.startswith("export "):
                    name, _, value = line.removeprefix("export ").strip().partition("=")
                    environment[name] = value.strip("'")
            yield environment
        finally:
            process.kill()


# --- Measuring -----------------------------------------------------------------------------------------


def measure(command, environment, folder):
    """Runs a command to its end: wall and processor seconds, peak memory in MB, and its output."""
    out = folder / "stdout"
    streams = [
        (os.POSIX_SPAWN_OPEN, 1, str(out), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, str(folder / "stderr"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    ]
    command = [str(part) for part in command]
    begun = time.perf_counter()
    process = os.posix_spawn(command[0], command, environment, file_actions=streams)
    _, status, used = os.wait4(process, 0)
    wall = time.perf_counter() - begun
    if status != 0:
        sys.exit(f"{command} ended with {status}:\n{(folder / 'stderr').read_text()[-2000:]}")
    return {
        "wall": wall,
        "cpu": used.ru_utime + used.ru_stime,
        "memory": used.ru_maxrss / 1024,
        "output": out.read_text(),
    }


class Series:
    """Several runs of one command."""

    def __init__(self):
        self.runs = []

    def of(self, what):
        return [run[what] for run in self.runs]

    def median(self, what):
        return statistics.median(self.of(what))

    def text(self, what, unit):
        values = self.of(what)
        scale, digits = {"s": (1, 3), "ms": (1000, 1), "MB": (1, 1)}[unit]
        low, middle, high = (value * scale for value in (min(values), self.median(what), max(values)))
        return f"{middle:.{digits}f} {unit} ({low:.{digits}f} to {high:.{digits}f})"


def in_turn(runs, commands):
    """Runs commands alternately, each in a fresh folder; the first round warms up and does not count.

    `commands` has functions from a folder to (command line, environment).
    """
    series = {name: Series() for name in commands}
    for round_ in range(runs + 1):
        for name, command in commands.items():
            with tempfile.TemporaryDirectory(dir=WORK) as folder:
                folder = Path(folder)
                line, environment = command(folder)
                result = measure(line, environment, folder)
            if round_ > 0:
                series[name].runs.append(result)
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return series


def tool(source, environment, *flags):
    def command(folder):
        files = ["--log-file", folder / "log"]
        if "--no-ledger" not in flags:
            files += ["--ledger", folder / "ledger.db"]
        return [TOOL, source, "--json", "--hours", HOURS, *files, *flags], environment

    return command


def peer(source, environment, python):
    # What a user's shell would have, or the imports find nothing; no proxy may come between.
    environment = {"PATH": os.environ["PATH"], "PEER_HOURS": HOURS, **environment}
    return lambda folder: ([python, HERE / "peer.py", source], environment)


def bare(environment):
    return lambda folder: ([BARE], environment)


def counts(series):
    return json.loads(series.runs[-1]["output"])["counts"]


# --- The sandbox's own ceiling -------------------------------------------------------------------------


def ceiling(environment, alerts):
    """How fast the sandbox hands out all alerts to a client that only reads the bytes."""
    import http.client
    from concurrent.futures import ThreadPoolExecutor
    from datetime import datetime, timedelta, timezone
    from urllib.parse import urlencode, urlsplit

    where = urlsplit(environment["CS_BASE_URL"]).netloc

    def post(connection, path, body, headers):
        connection.request("POST", path, body, headers)
        return connection.getresponse().read()

    connection = http.client.HTTPConnection(where)
    form = {"client_id": environment["CS_CLIENT_ID"], "client_secret": environment["CS_CLIENT_SECRET"]}
    token = post(connection, "/oauth2/token", urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"})
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {json.loads(token)['access_token']}"}
    end = datetime.now(timezone.utc)
    slices = 8
    step = timedelta(hours=25) / slices
    begin = end - timedelta(hours=25)

    def read(number):
        connection = http.client.HTTPConnection(where)
        stamp = [(begin + step * at).strftime("%Y-%m-%dT%H:%M:%SZ") for at in (number, number + 1)]
        query = {
            "filter": f"product:'epp'+created_timestamp:>='{stamp[0]}'+created_timestamp:<'{stamp[1]}'",
            "limit": 1000,
            "sort": "created_timestamp|asc",
        }
        size = 0
        while True:
            page = post(connection, "/alerts/combined/alerts/v1", json.dumps(query), headers)
            size += len(page)
            # The token is behind "after", in the page's tail or head; all else stays unread.
            at = page.find(b'"after":"', 0, 2000)
            at = at if at >= 0 else page.rfind(b'"after":"', len(page) - 2000)
            if at < 0:
                return size
            query["after"] = page[at + 9 : page.index(b'"', at + 9)].decode()

    best = math.inf
    for _ in range(3):
        begun = time.perf_counter()
        with ThreadPoolExecutor(slices) as pool:
            size = sum(pool.map(read, range(slices)))
        best = min(best, time.perf_counter() - begun)
    return (
        f"The sandbox's ceiling: {alerts} alerts, {size / 1e6:.0f} MB, in {best:.3f} s to a bare client on "
        f"{slices} connections that only reads ({size / best / 1e6:.0f} MB/s)"
    )


# --- The cases -----------------------------------------------------------------------------------------


class Table:
    def __init__(self):
        self.rows = []
        self.notes = []

    def add(self, case, theirs, floor, ours, ratio, wanted):
        self.rows.append((case, theirs, floor, ours, ratio, wanted))
        print(f"{case}: {theirs} | {floor} | {ours} | {ratio}", file=sys.stderr)

    def markdown(self):
        head = ("case", "Python peer", "bare loop", "this tool", "ratio", "aim")
        lines = ["| " + " | ".join(head) + " |", "|---|---|---|---|---|---|"]
        return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in self.rows])


def ratio(ours, theirs, what):
    return f"1/{theirs.median(what) / ours.median(what):.1f}"


def beside_the_peer(table, options, python, case, source, what, aim, **world):
    with sandbox(gzip=options.gzip, **world) as environment:
        both = in_turn(
            options.runs,
            {
                "peer": peer(source, environment, python),
                "tool": tool(source, environment),
                **({"bare": bare(environment)} if source == "crowdstrike" else {}),
            },
        )
        ours, theirs = both["tool"], both["peer"]
        floor = both["bare"].text(what, "s") if "bare" in both else ""
        table.add(case, theirs.text(what, "s"), floor, ours.text(what, "s"), ratio(ours, theirs, what), aim)
        table.notes.append(f"{case}: {counts(ours)['alerts_fetched']} alerts fetched, {counts(ours)['submitted']} submitted; the peer: {theirs.runs[-1]['output'].strip()}")
        return ours, theirs


def apart(work):
    """What `work` returns, done in a process of its own.

    A process begins with its parent's memory, and the kernel counts that into its peak: this script has
    to stay smaller than what it measures.
    """
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        os.write(writer, work().encode())
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as text:
        result = text.read()
    os.waitpid(process, 0)
    return result


def case_cpu(table, options, python):
    with sandbox(falcon=20_000, gzip=options.gzip) as environment:
        table.notes.append(apart(lambda: ceiling(environment, 20_000)))
    case = "CrowdStrike, 20,000 alerts, no latency: user + system"
    beside_the_peer(table, options, python, case, "crowdstrike", "cpu", "1/20", falcon=20_000)


def case_wall(table, options, python):
    case = "the same with 100 ms a request: wall"
    ours, _ = beside_the_peer(
        table, options, python, case, "crowdstrike", "wall", "1/3", falcon=20_000, latency=100
    )
    told = counts(ours)
    pages, posts = math.ceil(told["alerts_fetched"] / 1000), math.ceil(told["submitted"] / 1000)
    waits = 1 + 1 + math.ceil((pages - 1) / 8) + posts
    table.notes.append(
        f"1.5 x (sign-in + first page + ceil(({pages} - 1)/8) + {posts} posts) x 100 ms = {waits * 0.15:.2f} s"
    )


def case_carbonblack(table, options, python):
    case = "Carbon Black, 5,000 alerts, 100 ms a request: wall"
    beside_the_peer(
        table, options, python, case, "carbonblack", "wall", "1/2", carbonblack=5_000, latency=100
    )


def case_memory(table, options, python):
    runs = max(2, options.runs // 2)
    peaks = []
    for alerts in (20_000, 200_000):
        with sandbox(falcon=alerts, gzip=options.gzip) as environment:
            both = in_turn(
                runs,
                {
                    "peer": peer("crowdstrike", environment, python),
                    "tool": tool("crowdstrike", environment),
                    "bare": bare(environment),
                },
            )
        ours, theirs = both["tool"], both["peer"]
        floor = measure([shutil.which("true")], {}, WORK)["memory"]
        if ours.median("memory") <= floor:
            sys.exit(f"this script's own {floor:.1f} MB hide the tool's peak")
        peaks.append(ours.median("memory"))
        table.add(
            f"peak memory, {alerts:,} alerts",
            theirs.text("memory", "MB"),
            both["bare"].text("memory", "MB"),
            ours.text("memory", "MB"),
            ratio(ours, theirs, "memory"),
            "32 MB",
        )
        if alerts == 200_000:
            table.add(
                "CrowdStrike, 200,000 alerts, no latency: user + system",
                theirs.text("cpu", "s"),
                both["bare"].text("cpu", "s"),
                ours.text("cpu", "s"),
                ratio(ours, theirs, "cpu"),
                "",
            )
    table.notes.append(f"peak memory at ten times the alerts: {peaks[1] / peaks[0]:.2f} times as much (aim: 1.3)")


def case_start(table, options, python):
    imports = "import falconpy, psengine.collective_insights"
    both = in_turn(
        options.runs * 5,
        {
            "peer": lambda folder: ([python, "-c", imports], {"PATH": os.environ["PATH"]}),
            "tool": lambda folder: ([TOOL, "--version"], {}),
        },
    )
    ours, theirs = both["tool"], both["peer"]
    table.add(
        "`--version` (the peer: its imports)",
        theirs.text("wall", "ms"),
        "",
        ours.text("wall", "ms"),
        ratio(ours, theirs, "wall"),
        "5 ms",
    )


def case_size(table, options, python):
    size = TOOL.stat().st_size / 1e6
    table.add("release binary, stripped", "", "", f"{size:.1f} MB", "", "10 MB")


def case_ledger(table, options, python):
    with sandbox(falcon=20_000, gzip=options.gzip) as environment:
        both = in_turn(
            options.runs * 2,
            {
                "without": tool("crowdstrike", environment, "--no-ledger"),
                "with": tool("crowdstrike", environment),
            },
        )
    without, with_ = both["without"], both["with"]
    table.add(
        "20,000 alerts, no latency: wall, --no-ledger beside the ledger",
        without.text("wall", "s") + " without",
        "",
        with_.text("wall", "s") + " with",
        f"{with_.median('wall') / without.median('wall'):.2f} times",
        "1.2 times",
    )


CASES = {
    "cpu": case_cpu,
    "wall": case_wall,
    "carbonblack": case_carbonblack,
    "memory": case_memory,
    "version": case_start,
    "size": case_size,
    "ledger": case_ledger,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="runs that count, of each side (default: 5)")
    parser.add_argument("--only", default=",".join(CASES), help=f"of these: {','.join(CASES)}")
    parser.add_argument("--gzip", action="store_true", help="let the sandbox compress, which takes processor time from both sides")
    parser.add_argument("--skip-build", action="store_true", help="take the release binaries as they are")
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    if not options.skip_build:
        build()
    python = peer_python()
    table = Table()
    for name in options.only.split(","):
        print(f"{name} ", end="", file=sys.stderr, flush=True)
        CASES[name](table, options, python)
    print(table.markdown())
    print(
        f"\nMedians of {options.runs} alternate runs (least to most), {date.today().isoformat()}, on "
        f"{os.cpu_count()} cores that the sandbox uses too. Answers {'compressed' if options.gzip else 'not compressed'}.\n"
    )
    for note in table.notes:
        print(f"- {note}")


if __name__ == "__main__":
    main()
