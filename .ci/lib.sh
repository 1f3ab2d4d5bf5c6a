# What .ci/run and .ci/package share. Source it in bash, in the project's folder, with `set -e`.

step() { printf '\n=== %s\n' "$*"; }
have() { command -v "$1" >/dev/null 2>&1; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Installs Debian packages, or fails where that is not possible.
install_packages() {
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then as_root=(sudo -n); fi
    if ! have apt-get || { [ "${#as_root[@]}" -gt 0 ] && ! have sudo; }; then
        fail "missing: $* (install them and run this again; apt-get and root rights are needed to do it here)"
    fi
    step "install Debian packages: $*"
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"
}

# The Rust release that Cargo.toml names, for example 1.95.
rust_version="$(sed -n 's/^rust-version = "\([0-9.]*\)"$/\1/p' Cargo.toml)"
[ -n "$rust_version" ] || fail "Cargo.toml has no rust-version"

# Returns whether a rustc version belongs to that release: 1.95.0 does, 1.95.0-nightly does not.
is_pinned() {
    case "$1" in
        *-*) return 1 ;;
        "$rust_version" | "$rust_version".*) return 0 ;;
        *) return 1 ;;
    esac
}

# Selects the rustup toolchain of that release under the name it is installed as ("1.95.0",
# "stable"), the active one first. Installs it where there is none.
select_toolchain() {
    local name version
    for name in $(rustup show active-toolchain 2>/dev/null | cut -d' ' -f1) \
        $(rustup toolchain list | grep -v '^no ' | cut -d' ' -f1); do
        version="$(rustup run "$name" rustc --version 2>/dev/null | cut -d' ' -f2)" || continue
        if is_pinned "$version"; then
            export RUSTUP_TOOLCHAIN="$name"
            echo "Rust $rust_version: using the installed toolchain $name, which is $version"
            return
        fi
    done
    step "install Rust $rust_version with rustup"
    if rustup toolchain install "$rust_version" --profile minimal --component rustfmt --component clippy; then
        export RUSTUP_TOOLCHAIN="$rust_version"
    else
        echo "warning: Rust $rust_version could not be installed; trying the active toolchain" >&2
    fi
}

# Installs a cargo command where it is missing. Any installed version will do; the one named here is
# known to compile with our Rust release.
install_cargo_tool() {
    have "$1" && return
    step "install $1 $2 (once, takes minutes)"
    cargo install --locked "$1@$2"
}

# The version of the program in Cargo.toml, for example 0.1.0.
package_version() { sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml; }

# Makes Rust, a C compiler and git usable: installs what is missing.
prepare_rust() {
    local version oldest
    # cargo's folder may be absent from the PATH of a non-login shell.
    export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    # SQLite and aws-lc, the cryptography library, are compiled from C.
    have cc || install_packages gcc libc6-dev
    # .ci/words lists the project's files with it.
    have git || install_packages git
    if ! have cargo && ! have rustup; then
        install_packages rustup ca-certificates ||
            fail "this Debian release has no package rustup: install Rust from https://rustup.rs and run this again"
    fi
    if have rustup; then select_toolchain; fi

    version="$(rustc --version | cut -d' ' -f2)" || fail "Rust does not start: install Rust $rust_version from https://rustup.rs"
    if ! is_pinned "$version"; then
        oldest="$(printf '%s\n' "$rust_version" "$version" | sort -V | head -n 1)"
        [ "$oldest" = "$rust_version" ] ||
            fail "Rust $version is too old: Cargo.toml requires $rust_version (install it from https://rustup.rs)"
        echo "warning: Cargo.toml pins Rust $rust_version, but these checks use $version; lints may differ" >&2
    fi
}

# Starts the sandbox with these options and waits until it listens. Sets `sandbox` to its process id
# and `variables` to the settings for it, one NAME=value each.
start_sandbox() {
    local output="$1" target
    shift
    target="$(realpath "${CARGO_TARGET_DIR:-target}")"
    cargo build --quiet --locked --package sandbox
    "$target/debug/sandbox" "$@" >"$output" &
    sandbox=$!
    # It prints one "export NAME='value'" per variable, RF_API_KEY last.
    for _ in $(seq 100); do
        ! grep -q '^export RF_API_KEY=' "$output" || break
        sleep 0.1
    done
    mapfile -t variables < <(sed -n "s/^export \([A-Z_]*\)='\(.*\)'\$/\1=\2/p" "$output")
    grep -q '^export RF_API_KEY=' "$output" || fail "the sandbox did not start within 10 s"
}

# Prints the name, version and license of each crate in the program for a target.
crates() {
    cargo tree --locked --package collective-insights --edges normal,no-proc-macro --target "$1" \
        --prefix none --no-dedupe --format '{p}|{l}' | sed -n 's/^\([^ ]*\) v\([^ |]*\)|\(.*\)$/\1 \2 \3/p' | LC_ALL=C sort -u
}

# Prints the license files of a crate (name, version, license), which cargo has unpacked to build it.
# For a crate without any that may be used under Apache-2.0, that is the text of our own license.
license_files() {
    local files
    compgen -G "${CARGO_HOME:-$HOME/.cargo}/registry/src/*/$1-$2" >/dev/null || fail "$1 $2 is not unpacked"
    files="$(find "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$1-$2" -type f \( -iname 'licen[cs]e*' \
        -o -iname 'copying*' -o -iname 'copyright*' -o -iname 'notice*' -o -iname 'unlicense*' \) | LC_ALL=C sort)"
    if [ -z "$files" ] && [[ "$3" == *Apache-2.0* ]]; then files="$PWD/LICENSE"; fi
    [ -n "$files" ] || fail "no license text in $1 $2 ($3)"
    printf '%s\n' "$files"
}
