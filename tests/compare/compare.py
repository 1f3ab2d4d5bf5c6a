#!/usr/bin/env python3
"""Compares the tool with what a user would write instead, and prints the table for the README.

    python3 tests/compare/compare.py            all cases, five runs each
    python3 tests/compare/compare.py --runs 9 --only cpu,wall
    python3 tests/compare/compare.py --skip-build --gzip

It builds the release binaries, installs the libraries of the peer (requirements.txt) into
target/compare, and runs the tool, the peer (peer.py) and a bare loop (bare.rs) that only fetches and
decodes against the sandbox on 127.0.0.1. They run alternately, so that other load on the machine
affects all of them. Processor time and peak memory are measured by the kernel (wait4).

There are no thresholds here, and this is not part of `cargo test`: timings are not tests. Run it on an
idle machine, and look at the spread before the median.
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
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
WORK = TARGET / "compare"
TOOL = TARGET / "release" / "collective-insights"
SANDBOX = TARGET / "release" / "sandbox"
BARE = TARGET / "release" / "examples" / "bare"
# The sandbox generates alerts for the 24 hours before its start, some time before the runs.
HOURS = "48"


# --- Preparing ------------------------------------------------------------------------------------


def build():
    command = ["cargo", "build", "--release", "--locked", "--workspace", "--bins", "--example", "bare"]
    subprocess.run(command, cwd=ROOT, check=True)


def peer_python():
    """Returns a Python interpreter with the libraries of the peer, which are installed once."""
    folder = WORK / "venv"
    python = folder / "bin" / "python"
    requirements = (HERE / "requirements.txt").read_text()
    stamp = folder / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != requirements:
        venv.create(folder, clear=True, with_pip=True)
        install = [python, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"]
        subprocess.run(install, check=True)
        stamp.write_text(requirements)
    return python


@contextlib.contextmanager
def sandbox(
    falcon=0, carbonblack=0, days=1, latency=0, gzip=False, own_indicators=False, tls=False, accounts=1
):
    """Runs the sandbox and yields the variables that it prints, and SANDBOX_PID. Latency in
    milliseconds.

    With TLS the alerts are of the largest size, and HTTP/2 is offered.
    """
    flags = ["--falcon", falcon, "--carbonblack", carbonblack, "--days", days, "--latency-ms", latency]
    flags += ["--accounts", accounts]
    flags += [] if gzip else ["--no-gzip"]
    # A million full-size alerts do not fit into the memory of every machine.
    flags += ["--own-indicators"] if own_indicators else ["--large" if tls else "--full-size"]
    flags += ["--tls"] if tls else []
    command = [str(SANDBOX), *map(str, flags)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            environment = {"SANDBOX_PID": str(process.pid)}
            while "RF_API_KEY" not in environment:
                line = process.stdout.readline()
                if not line:
                    sys.exit(f"the sandbox exited: {' '.join(command)}")
                if line.startswith("export "):
                    name, _, value = line.removeprefix("export ").strip().partition("=")
                    environment[name] = value.strip("'")
            if tls:
                # For the library `requests`, which the peer uses.
                environment["REQUESTS_CA_BUNDLE"] = environment["SSL_CERT_FILE"]
            yield environment
        finally:
            process.kill()


# --- Measuring ------------------------------------------------------------------------------------


def measure(command, environment, folder):
    """Runs a command. Returns wall and processor time in seconds, peak memory in MB (of 2^20 bytes)
    and the output."""
    out = folder / "stdout"
    streams = [
        (os.POSIX_SPAWN_OPEN, 1, str(out), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, str(folder / "stderr"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    ]
    command = [str(part) for part in command]
    started = time.perf_counter()
    process = os.posix_spawn(command[0], command, environment, file_actions=streams)
    _, status, usage = os.wait4(process, 0)
    wall = time.perf_counter() - started
    if status != 0:
        sys.exit(f"{command} failed with status {status}:\n{(folder / 'stderr').read_text()[-2000:]}")
    return {
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss / 1024,
        "output": out.read_text(),
    }


class Series:
    """Several runs of one command."""

    def __init__(self):
        self.runs = []

    def values(self, metric):
        return [run[metric] for run in self.runs]

    def median(self, metric):
        return statistics.median(self.values(metric))

    def text(self, metric, unit):
        """Returns the median and the range."""
        values = self.values(metric)
        scale, digits = {"s": (1, 3), "ms": (1000, 1), "MB": (1, 1)}[unit]
        low, middle, high = (value * scale for value in (min(values), self.median(metric), max(values)))
        return f"{middle:.{digits}f} {unit} ({low:.{digits}f} to {high:.{digits}f})"


def run_alternately(runs, commands):
    """Runs commands alternately, each in a new folder. The first round is a warm-up and not counted.

    `commands` maps names to functions that take a folder and return (command line, environment).
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
    # PATH for the imports, and no proxy variables.
    environment = {"PATH": os.environ["PATH"], "PEER_HOURS": HOURS, **environment}
    return lambda folder: ([python, HERE / "peer.py", source], environment)


def bare(environment):
    return lambda folder: ([BARE], environment)


def processor_time(process):
    """Returns the processor time of a running process in seconds."""
    # The name, which may contain spaces, is in parentheses.
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def counts(series):
    return json.loads(series.runs[-1]["output"])["counts"]


# --- The throughput of the sandbox ----------------------------------------------------------------


def sandbox_throughput(environment, alerts):
    """Measures how fast the sandbox serves all alerts to a client that only reads the bytes."""
    import http.client
    from concurrent.futures import ThreadPoolExecutor
    from urllib.parse import urlencode, urlsplit

    address = urlsplit(environment["CS_BASE_URL"]).netloc

    def post(connection, path, body, headers):
        connection.request("POST", path, body, headers)
        return connection.getresponse().read()

    connection = http.client.HTTPConnection(address)
    form = {"client_id": environment["CS_CLIENT_ID"], "client_secret": environment["CS_CLIENT_SECRET"]}
    token = post(connection, "/oauth2/token", urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"})
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {json.loads(token)['access_token']}"}
    end = datetime.now(timezone.utc)
    slices = 8
    step = timedelta(hours=25) / slices
    begin = end - timedelta(hours=25)

    def read(number):
        connection = http.client.HTTPConnection(address)
        times = [(begin + step * at).strftime("%Y-%m-%dT%H:%M:%SZ") for at in (number, number + 1)]
        query = {
            "filter": f"product:'epp'+created_timestamp:>='{times[0]}'+created_timestamp:<'{times[1]}'",
            "limit": 1000,
            "sort": "created_timestamp|asc",
        }
        size = 0
        while True:
            page = post(connection, "/alerts/combined/alerts/v1", json.dumps(query), headers)
            size += len(page)
            # The page token follows "after", near the beginning or the end of the page. Nothing else is
            # parsed.
            at = page.find(b'"after":"', 0, 2000)
            at = at if at >= 0 else page.rfind(b'"after":"', len(page) - 2000)
            if at < 0:
                return size
            query["after"] = page[at + 9 : page.index(b'"', at + 9)].decode()

    best = math.inf
    for _ in range(3):
        started = time.perf_counter()
        with ThreadPoolExecutor(slices) as pool:
            size = sum(pool.map(read, range(slices)))
        best = min(best, time.perf_counter() - started)
    return (
        f"Throughput of the sandbox: {alerts} alerts, {size / 1e6:.0f} MB, in {best:.3f} s to a client on "
        f"{slices} connections that only reads the bytes ({size / best / 1e6:.0f} MB/s)"
    )


# --- The cases ------------------------------------------------------------------------------------


class Table:
    def __init__(self):
        self.rows = []
        self.notes = []

    def add(self, case, peer, bare, tool, ratio, aim):
        self.rows.append((case, peer, bare, tool, ratio, aim))
        print(f"{case}: {peer} | {bare} | {tool} | {ratio}", file=sys.stderr)

    def markdown(self):
        head = ("case", "Python peer", "bare loop", "this tool", "ratio", "aim")
        lines = ["| " + " | ".join(head) + " |", "|---|---|---|---|---|---|"]
        return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in self.rows])


def ratio(tool_series, peer_series, metric):
    return f"1/{peer_series.median(metric) / tool_series.median(metric):.1f}"


def compare_with_peer(table, options, python, case, source, metric, aim, **world):
    """Adds a row, and returns the series of the tool."""
    with sandbox(gzip=options.gzip, **world) as environment:
        series = run_alternately(
            options.runs,
            {
                "peer": peer(source, environment, python),
                "tool": tool(source, environment),
                **({"bare": bare(environment)} if source == "crowdstrike" else {}),
            },
        )
        table.add(
            case,
            series["peer"].text(metric, "s"),
            series["bare"].text(metric, "s") if "bare" in series else "",
            series["tool"].text(metric, "s"),
            ratio(series["tool"], series["peer"], metric),
            aim,
        )
        tool_counts = counts(series["tool"])
        table.notes.append(
            f"{case}: {tool_counts['alerts_fetched']} alerts fetched, {tool_counts['submitted']} submitted; "
            f"the peer: {series['peer'].runs[-1]['output'].strip()}"
        )
        return series["tool"]


def in_child_process(function):
    """Returns the result of `function`, run in a child process.

    A measured process starts with the memory of this script, which counts towards its peak, so this
    script must stay smaller than what it measures.
    """
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        os.write(writer, function().encode())
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as text:
        result = text.read()
    os.waitpid(process, 0)
    return result


def case_cpu(table, options, python):
    with sandbox(falcon=20_000, gzip=options.gzip) as environment:
        table.notes.append(in_child_process(lambda: sandbox_throughput(environment, 20_000)))
    case = "CrowdStrike, 20,000 alerts, no latency: user + system"
    compare_with_peer(table, options, python, case, "crowdstrike", "cpu", "1/20", falcon=20_000)


def case_wall(table, options, python):
    case = "the same with 100 ms per request: wall"
    series = compare_with_peer(
        table, options, python, case, "crowdstrike", "wall", "1/3", falcon=20_000, latency=100
    )
    tool_counts = counts(series)
    pages = math.ceil(tool_counts["alerts_fetched"] / 1000)
    posts = math.ceil(tool_counts["submitted"] / 1000)
    round_trips = 1 + 1 + math.ceil((pages - 1) / 8) + posts
    table.notes.append(
        f"1.5 x (sign-in + first page + ceil(({pages} - 1)/8) + {posts} posts) x 100 ms = {round_trips * 0.15:.2f} s"
    )


def case_carbonblack(table, options, python):
    case = "Carbon Black, 5,000 alerts, 100 ms per request: wall"
    compare_with_peer(
        table, options, python, case, "carbonblack", "wall", "1/2", carbonblack=5_000, latency=100
    )


def case_http2(table, options, python):
    """The tool uses HTTP/2, the peer HTTP/1.1: its libraries have no HTTP/2."""
    with sandbox(falcon=20_000, gzip=True, tls=True, latency=100) as environment:
        series = run_alternately(
            options.runs,
            {
                "peer": peer("crowdstrike", environment, python),
                "tool": tool("crowdstrike", environment, "--daily-limit", "0"),
            },
        )
    case = "20,000 alerts of 6 to 8 KB over TLS, HTTP/2 and gzip, 100 ms per request: "
    for name, metric, unit in (("wall", "wall", "s"), ("user + system", "cpu", "s"), ("peak memory", "memory", "MB")):
        table.add(
            case + name,
            series["peer"].text(metric, unit),
            "",
            series["tool"].text(metric, unit),
            ratio(series["tool"], series["peer"], metric),
            "",
        )


def case_memory(table, options, python):
    runs = max(2, options.runs // 2)
    peaks = []
    for alerts in (20_000, 200_000):
        with sandbox(falcon=alerts, gzip=options.gzip) as environment:
            series = run_alternately(
                runs,
                {
                    "peer": peer("crowdstrike", environment, python),
                    "tool": tool("crowdstrike", environment),
                    "bare": bare(environment),
                },
            )
        minimum = measure([shutil.which("true")], {}, WORK)["memory"]
        if series["tool"].median("memory") <= minimum:
            sys.exit(f"the peak of the tool cannot be measured: this script itself needs {minimum:.1f} MB")
        peaks.append(series["tool"].median("memory"))
        table.add(
            f"peak memory, {alerts:,} alerts",
            series["peer"].text("memory", "MB"),
            series["bare"].text("memory", "MB"),
            series["tool"].text("memory", "MB"),
            ratio(series["tool"], series["peer"], "memory"),
            "32 MB",
        )
        if alerts == 200_000:
            table.add(
                "CrowdStrike, 200,000 alerts, no latency: user + system",
                series["peer"].text("cpu", "s"),
                series["bare"].text("cpu", "s"),
                series["tool"].text("cpu", "s"),
                ratio(series["tool"], series["peer"], "cpu"),
                "",
            )
    table.notes.append(f"peak memory with ten times the alerts: {peaks[1] / peaks[0]:.2f} times as much (aim: 1.3)")


def case_backfill(table, options, python):
    """A backfill in which every alert names an indicator of its own."""
    peaks = []
    for alerts in (100_000, 1_000_000):
        with sandbox(falcon=alerts, gzip=options.gzip, own_indicators=True) as environment:
            command = tool("crowdstrike", environment, "--daily-limit", "0", "--deadline", "1440")
            series = run_alternately(max(2, options.runs // 2), {"tool": command})["tool"]
        peaks.append(series.median("memory"))
        case = f"backfill of {alerts:,} alerts, each with its own indicator: "
        table.add(case + "peak memory", "", "", series.text("memory", "MB"), "", "64 MB")
        table.add(case + "wall", "", "", series.text("wall", "s"), "", "")
        table.add(case + "user + system", "", "", series.text("cpu", "s"), "", "")
        table.notes.append(f"{case}{counts(series)['submitted']} submitted")
    table.notes.append(f"peak memory with ten times the alerts: {peaks[1] / peaks[0]:.2f} times as much (aim: 1.3)")


def case_start(table, options, python):
    imports = "import falconpy, psengine.collective_insights"
    series = run_alternately(
        options.runs * 5,
        {
            "peer": lambda folder: ([python, "-c", imports], {"PATH": os.environ["PATH"]}),
            "tool": lambda folder: ([TOOL, "--version"], {}),
        },
    )
    table.add(
        "`--version` (the peer: its imports)",
        series["peer"].text("wall", "ms"),
        "",
        series["tool"].text("wall", "ms"),
        ratio(series["tool"], series["peer"], "wall"),
        "5 ms",
    )


def case_size(table, options, python):
    size = TOOL.stat().st_size / 1e6
    table.add("release binary, stripped", "", "", f"{size:.1f} MB", "", "10 MB")


def case_ledger(table, options, python):
    with sandbox(falcon=20_000, gzip=options.gzip) as environment:
        series = run_alternately(
            options.runs * 2,
            {
                "without": tool("crowdstrike", environment, "--no-ledger"),
                "with": tool("crowdstrike", environment),
            },
        )
    without, with_ = series["without"], series["with"]
    table.add(
        "20,000 alerts, no latency: wall, without and with the ledger",
        without.text("wall", "s") + " without",
        "",
        with_.text("wall", "s") + " with",
        f"{with_.median('wall') / without.median('wall'):.2f} times",
        "1.2 times",
    )


# The ledger keeps indicators for 90 days, and the usual limit is 15,000 submissions per day.
LEDGER_DAYS = 90
PER_DAY = 15_000


def fill_large_ledger(ledger, environment, end):
    """Creates the ledger that one run per day leaves, the last of them a day before `end`.

    The tool runs once per day of alerts, but all runs take place now. Afterwards their times are
    changed to those at which they would have taken place: the end of the window of each.
    """
    import sqlite3

    day = timedelta(days=1)
    begin = end - day * (LEDGER_DAYS + 1)
    for number in range(LEDGER_DAYS):
        window = span(begin + day * number, begin + day * (number + 1))
        with tempfile.TemporaryDirectory(dir=WORK) as folder:
            files = ["--log-file", Path(folder) / "log", "--ledger", ledger]
            measure([TOOL, "crowdstrike", *window, *files, "--daily-limit", "0"], environment, Path(folder))
    with contextlib.closing(sqlite3.connect(ledger)) as db, db:
        # The tables are those of src/ledger/schema.rs. A batch without a run would get NULL, which the
        # schema rejects.
        batches = db.execute(
            "UPDATE batch SET ended_at = (SELECT read_until FROM run"
            " WHERE batch.ended_at BETWEEN run.started_at AND run.finished_at)"
        )
        runs = db.execute("UPDATE run SET started_at = read_until, finished_at = read_until WHERE exit_code = 0")
        if runs.rowcount != LEDGER_DAYS or batches.rowcount < runs.rowcount:
            sys.exit(f"the ledger has {runs.rowcount} runs and {batches.rowcount} batches of {LEDGER_DAYS} days")


def span(since, until):
    return ["--since", since.isoformat(), "--until", until.isoformat()]


def case_large_ledger(table, options, python):
    alerts = 20_000
    end = datetime.now(timezone.utc).replace(microsecond=0)
    # 93 of 100 alerts are of the product that is read.
    generated = round(PER_DAY * (LEDGER_DAYS + 1) / 0.93)
    with (
        sandbox(falcon=generated, days=LEDGER_DAYS + 1, own_indicators=True, gzip=options.gzip) as environment,
        tempfile.TemporaryDirectory(dir=WORK) as folder,
    ):
        ledger = Path(folder) / "ledger.db"
        fill_large_ledger(ledger, environment, end)
        # A quarter of the alerts were delivered by the last run. What is older than 90 days is purged.
        window = span(end - timedelta(days=alerts / PER_DAY), end)

        def run(folder):
            copy = shutil.copy(ledger, folder)
            files = ["--log-file", folder / "log", "--ledger", copy]
            return [TOOL, "crowdstrike", "--json", *window, *files, "--daily-limit", "0"], environment

        def dry_run(folder):
            line, _ = run(folder)
            return [*line, "--dry-run"], environment

        def report(folder, days):
            return [TOOL, "report", "--html", folder / "report.html", "--days", days, "--ledger", ledger], {}

        series = run_alternately(
            options.runs,
            {
                "status": lambda _: ([TOOL, "status", "--ledger", ledger], {}),
                "history": lambda _: ([TOOL, "history", "--ledger", ledger], {}),
                "long history": lambda _: ([TOOL, "history", "--days", LEDGER_DAYS, "--ledger", ledger], {}),
                "report": lambda folder: report(folder, 30),
                "long report": lambda folder: report(folder, LEDGER_DAYS),
                "run": run,
                "dry run": dry_run,
            },
        )
        size = ledger.stat().st_size / 1e6
    case = f"ledger of {LEDGER_DAYS} days x {PER_DAY:,} submissions: "
    table.add(case + "file size", "", "", f"{size:.0f} MB", "", "361 MB")
    for name, step, aim in (
        ("status", "`status`", "0.1 s"),
        ("history", "`history`", "1 s"),
        ("long history", f"`history --days {LEDGER_DAYS}`", ""),
        ("report", "`report`", "5 s"),
        ("long report", f"`report --days {LEDGER_DAYS}`", "5 s"),
        ("run", f"a run over {alerts:,} alerts", "2 s"),
        ("dry run", "the same with `--dry-run`", ""),
    ):
        table.add(f"{case}{step}, wall", "", "", series[name].text("wall", "s"), "", aim)
    for name in ("report", "long report"):
        table.add(f"{case}`{name}`, memory", "", "", series[name].text("memory", "MB"), "", "64 MiB")
    run_counts = counts(series["run"])
    table.notes.append(
        f"{case}the run fetched {run_counts['alerts_fetched']} alerts and submitted {run_counts['submitted']}"
    )


TENANTS = (30, 300)
JOBS = 16
TENANT_ALERTS = 1000


def client_ids(number):
    """Returns the ids of the API clients of a sandbox with this many accounts."""
    return [f"{account:032x}" for account in range(1, number)]


def write_settings(folder, environment, clients, shared_key):
    """Writes a settings file with a tenant for each API client, and returns its path.

    The Recorded Future key is one for all, or that of each tenant: the batches of one key are sent
    one after the other.
    """
    for variable in ("RF_API_KEY", "CS_CLIENT_SECRET"):
        secret = folder / variable
        secret.write_text(environment[variable])
        secret.chmod(0o600)
    lines = [
        "[defaults]",
        f'rf-api-key-file = "{folder / "RF_API_KEY"}"',
        f'rf-api-url = "{environment["RF_API_URL"]}"',
        f"hours = {HOURS}",
        "daily-limit = 0",
        "[defaults.crowdstrike]",
        f'base-url = "{environment["CS_BASE_URL"]}"',
    ]
    for number, client in enumerate(clients, 1):
        lines += [
            "[[tenant]]",
            f'name = "tenant-{number:03}"',
            'source = "crowdstrike"',
            f'client-id = "{client}"',
            f'client-secret-file = "{folder / "CS_CLIENT_SECRET"}"',
        ]
        lines += [] if shared_key else [f'rf-api-key = "{client}"']
    settings = folder / "settings.toml"
    settings.write_text("\n".join([*lines, ""]))
    # The id of a client counts as a secret.
    settings.chmod(0o600)
    return settings


def case_tenants(table, options, python):
    """All tenants in one process, compared with a run for each, one after the other."""
    clients = client_ids(max(TENANTS) + 1)

    def run(folder, number, command, shared_key=False):
        files = ["--log-file", folder / "log", "--ledger", folder / "ledger.db"]
        settings = write_settings(folder, environment, clients[:number], shared_key)
        return [TOOL, *command, "--json", "--config", settings, *files], {}

    alone = {
        "single": lambda folder: run(folder, 1, ["crowdstrike", "--tenant", "tenant-001"]),
    }
    with sandbox(falcon=TENANT_ALERTS, latency=100, gzip=options.gzip, accounts=len(clients) + 1) as environment:
        alone["peer"] = peer("crowdstrike", environment, python)
        alone = run_alternately(max(3, options.runs), alone)
        runs = max(2, options.runs // 2)
        for number in TENANTS:
            sandbox_before = processor_time(environment["SANDBOX_PID"])
            command = {"tool": lambda folder, number=number: run(folder, number, ["run", "--jobs", JOBS])}
            together = run_alternately(runs, command)["tool"]
            # The warm-up counts here.
            sandbox_cpu = (processor_time(environment["SANDBOX_PID"]) - sandbox_before) / (runs + 1)
            report_tenants(table, number, together, alone, sandbox_cpu)
        one_key = {"tool": lambda folder: run(folder, number, ["run", "--jobs", JOBS], shared_key=True)}
        one_key = run_alternately(runs, one_key)["tool"]
        table.notes.append(
            f"{number} tenants with one Recorded Future key: wall {one_key.text('wall', 's')}, user + system "
            f"{one_key.text('cpu', 's')}, peak memory {one_key.text('memory', 'MB')}"
        )


def report_tenants(table, number, together, alone, sandbox_cpu):
    case = f"{number} tenants x {TENANT_ALERTS:,} alerts, 100 ms per request, --jobs {JOBS}: "
    peer_wall, peer_cpu = (alone["peer"].median(metric) * number for metric in ("wall", "cpu"))
    single_wall, single_cpu = (alone["single"].median(metric) * number for metric in ("wall", "cpu"))
    wall, cpu = together.median("wall"), together.median("cpu")
    one_by_one = f"one run {alone['peer'].text('wall', 's')}, {number} one after the other {peer_wall:.0f} s"
    table.add(case + "wall", one_by_one, "", together.text("wall", "s"), f"1/{peer_wall / wall:.1f}", "1/20")
    table.add(case + "user + system", f"{peer_cpu:.0f} s", "", together.text("cpu", "s"), f"1/{peer_cpu / cpu:.1f}", "")
    memory = together.text("memory", "MB")
    table.add(case + "peak memory", alone["peer"].text("memory", "MB"), "", memory, "", "64 MB")
    reports = [report["counts"] for report in json.loads(together.runs[-1]["output"])["tenants"]]
    fetched, submitted = (sum(report[count] for report in reports) for count in ("alerts_fetched", "submitted"))
    table.notes.append(
        f"{case}{fetched} alerts fetched, {submitted} submitted. {number} single runs, one "
        f"after the other: wall {single_wall:.1f} s, user + system {single_cpu:.2f} s, so one process needs "
        f"{cpu / single_cpu:.2f} times as much (aim: 1). Per tenant: wall {wall / number * 1000:.1f} ms, user + system "
        f"{cpu / number * 1000:.1f} ms. The sandbox: user + system {sandbox_cpu:.2f} s"
    )


CASES = {
    "cpu": case_cpu,
    "wall": case_wall,
    "carbonblack": case_carbonblack,
    "http2": case_http2,
    "memory": case_memory,
    "backfill": case_backfill,
    "version": case_start,
    "size": case_size,
    "ledger": case_ledger,
    "large-ledger": case_large_ledger,
    "tenants": case_tenants,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each program (default: 5)")
    parser.add_argument("--only", default=",".join(CASES), help=f"cases to run, of: {','.join(CASES)}")
    parser.add_argument("--gzip", action="store_true", help="compress responses, which costs all programs processor time")
    parser.add_argument("--skip-build", action="store_true", help="use the existing release binaries")
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
        f"\nMedians of {options.runs} alternating runs (minimum to maximum), {date.today().isoformat()}, on "
        f"{os.cpu_count()} cores, which the sandbox uses too. Responses {'compressed' if options.gzip else 'not compressed, except in the case http2'}.\n"
    )
    for note in table.notes:
        print(f"- {note}")


if __name__ == "__main__":
    main()
