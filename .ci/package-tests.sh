# Tests the packages in target/package; .ci/package sources it and names what is in them. Everything
# runs in folders of its own, below a temporary one.

tests="$(mktemp -d)"
# Ends the sandbox and removes the folders.
clean_up() {
    kill "$sandbox" 2>/dev/null || true
    rm -rf --one-file-system "$tests"
    [ -z "$authority" ] || rm -f "$authority"
}
sandbox=
authority=
trap clean_up EXIT

# It offers HTTP/2 only, so a run that succeeds has used it.
start_sandbox "$tests/environment" --tls --http2 --falcon 500 --carbonblack 500
authority="$(sed -n "s/^export SSL_CERT_FILE='\(.*\)'$/\1/p" "$tests/environment")"

step "test: the static binary, a run per source over TLS and HTTP/2"
tar -xzf "$output/$archive.tar.gz" -C "$tests"
for source in crowdstrike carbonblack; do
    (cd "$tests" && env -i STATE_DIRECTORY="$tests/state" "${variables[@]}" "./$archive/$name" "$source")
done
env -i STATE_DIRECTORY="$tests/state" "$tests/$archive/$name" status --max-age 1h
# musl has its own resolver. A name that it knows leads to the sandbox, whose certificate is for
# 127.0.0.1 only.
if env -i STATE_DIRECTORY="$tests/state" "${variables[@]//127.0.0.1/localhost}" \
    "$tests/$archive/$name" crowdstrike --no-ledger --log-file none 2>"$tests/lookup"; then
    fail "a run succeeded with a name that the certificate does not have"
fi
grep -q 'the certificate of localhost was rejected' "$tests/lookup" ||
    fail "localhost is not resolved: $(cat "$tests/lookup")"
if env -i STATE_DIRECTORY="$tests/state" "${variables[@]}" RF_API_URL=https://name.invalid \
    "$tests/$archive/$name" crowdstrike --no-ledger --log-file none 2>"$tests/lookup"; then
    fail "a run succeeded with a name that does not exist"
fi
grep -q 'cannot resolve the host name name.invalid' "$tests/lookup" || fail "the unknown name is not reported: $(cat "$tests/lookup")"

# Runs a command in a root folder as a user, with only these variables, and without a shell of the
# root.
in_root() {
    local folder="$1" user="$2"
    shift 2
    chroot --userspec="$user" "$folder" /usr/bin/env -i "$@"
}

step "test: the container image"
if [ ! -f "$output/$context.tar.gz" ]; then
    :
elif [ "$(id -u)" -ne 0 ] || ! debian_tool buildah buildah; then
    skip "not tested: container context (needs root and buildah)"
else
    tar -xzf "$output/$context.tar.gz" -C "$tests"
    images=(buildah --storage-driver vfs --root "$tests/images" --runroot "$tests/images-run")
    "${images[@]}" build --quiet --tag "$name" "$tests/$context" >/dev/null
    container="$("${images[@]}" from "$name")"
    image="$("${images[@]}" mount "$container")"
    [ "$("${images[@]}" inspect --format '{{.OCIv1.Config.User}}' "$container")" = 65532:65532 ] ||
        fail "the image runs as another user"
    [ ! -e "$image/tmp" ] || fail "the image has a /tmp"
    mapfile -t environment < <("${images[@]}" inspect --format '{{range .OCIv1.Config.Env}}{{println .}}{{end}}' "$container" | grep .)
    state="$image/var/lib/$name"
    cp "$authority" "$state/sandbox-ca.pem"
    chmod 644 "$state/sandbox-ca.pem"
    # The image's own certificates are those of Debian; the sandbox's is added.
    settings=("${environment[@]}" COLLECTIVE_INSIGHTS_CA_CERT="/var/lib/$name/sandbox-ca.pem")
    for variable in "${variables[@]}"; do
        case "$variable" in SSL_CERT_FILE=*) ;; *) settings+=("$variable") ;; esac
    done
    # Everything but the volume is read-only for this user, as with --read-only.
    for arguments in "crowdstrike --dry-run" crowdstrike carbonblack "status --max-age 1h"; do
        # shellcheck disable=SC2086
        env -i "${settings[@]}" "$(command -v chroot)" --userspec=65532:65532 "$image" \
            "/usr/bin/$name" $arguments 2>"$tests/container-log" ||
            fail "$arguments in the container: $(tail -n 5 "$tests/container-log")"
    done
    # Everything in it that the user could write is the volume.
    writable="$(find "$image" -path "$state" -prune -o \( -user 65532 -o -perm -o+w ! -type l \) -print)"
    [ -z "$writable" ] || fail "the image's user can also write ${writable//$image/}"
    "${images[@]}" umount "$container" >/dev/null
    "${images[@]}" rm "$container" >/dev/null
fi

# Prints the paths of a package's files, without folders and the versions of man pages.
expected_files() {
    cat <<END
/usr/bin/$name
/usr/lib/systemd/system/$name-run.service
/usr/lib/systemd/system/$name-run.timer
/usr/lib/sysusers.d/$name.conf
/usr/lib/tmpfiles.d/$name.conf
/usr/share/bash-completion/completions/$name
/usr/share/doc/$name/CHANGELOG.md
/usr/share/doc/$name/COPYRIGHT-library.html
/usr/share/doc/$name/THIRD-PARTY-LICENSES.txt
/usr/share/doc/$name/$name.cdx.json
/usr/share/doc/$name/examples/$name-failed@.service
/usr/share/doc/$name/examples/config.toml
/usr/share/doc/$name/examples/exclusions.txt
/usr/share/fish/vendor_completions.d/$name.fish
END
    find "$root/usr/share/man" -type f -printf '/usr/share/man/%P\n'
    printf '%s\n' "$@"
}

# Fails unless both lists have the same lines.
assert_same() {
    diff <(LC_ALL=C sort "$2") <(LC_ALL=C sort "$3") || fail "$1"
}

step "test: what is in the packages"
deb="$(find "$output" -name '*.deb')"
rpm="$(find "$output" -name '*.rpm')"
if [ -n "$deb" ]; then
    expected_files "/usr/share/doc/$name/copyright" \
        "/usr/share/zsh/vendor-completions/_$name" >"$tests/expected"
    dpkg-deb --fsys-tarfile "$deb" | tar -t | sed -n 's|^\./*|/|; /[^/]$/p' >"$tests/files"
    assert_same "the deb has other files" "$tests/expected" "$tests/files"
    dpkg-deb --fsys-tarfile "$deb" | tar -tv | awk '$2 != "root/root" && $2 != "0/0" { bad = 1 } END { exit bad }' ||
        fail "the deb has files that do not belong to root"
    [ "$(dpkg-deb --field "$deb" Depends)" = ca-certificates ] || fail "the deb depends on other packages"
    [ "$(dpkg-deb --field "$deb" Version)" = "$version-1" ] || fail "the deb has another version"
fi
if debian_tool rpm rpm; then
    expected_files "/usr/share/licenses/$name/LICENSE" \
        "/usr/share/zsh/site-functions/_$name" >"$tests/expected"
    rpm --query --package --queryformat '[%{FILENAMES}\n]' "$rpm" >"$tests/files"
    assert_same "the rpm has other files" "$tests/expected" "$tests/files"
    rpm --query --package --queryformat '[%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILENAMES}\n]' "$rpm" |
        awk -v program="/usr/bin/$name" '
            { mode = $3 == program ? "-rwxr-xr-x" : "-rw-r--r--" }
            $1 != mode || $2 != "root:root" { print; bad = 1 }
            END { exit bad }' || fail "the rpm has files of another mode or owner"
    rpm --query --package --requires "$rpm" | grep -v '^rpmlib(' | sort -u >"$tests/requires"
    printf '%s\n' /bin/sh ca-certificates | diff - "$tests/requires" || fail "the rpm requires other packages"
    for script in postinst prerm postrm; do
        rpm --query --package --scripts "$rpm" | grep -qF "$(sed -n 2p ".packaging/scripts/$script")" ||
            fail "the rpm lacks the script $script"
    done
else
    skip "not tested: rpm (Debian's package rpm is missing)"
fi

# Prints the files of a root with modes, owners and checksums, except the package managers' own data
# and backups of the user databases.
list_files() {
    local skipped=(\( -path ./proc -o -path ./sys -o -path ./dev -o -path ./run -o -path ./tmp -o -path ./var/lib/dpkg
        -o -path ./usr/lib/sysimage -o -path ./var/lib/rpm -o -path ./var/log -o -path ./var/cache
        -o -path './etc/*-' -o -path ./etc/.pwd.lock \) -prune)
    (cd "$1" && find . "${skipped[@]}" -o -printf '%y %m %U:%G %p %l\n' &&
        find . "${skipped[@]}" -o -type f -exec sha256sum {} +)
}

# Installs, uses, upgrades and removes a package in a clean root, with these functions:
# `install_it FOLDER`, `remove_it FOLDER` and `purge_it FOLDER`.
test_installed() {
    local folder="$1" state="$1/var/lib/$name" settings="$1/etc/$name" ledger url
    list_files "$folder" >"$tests/before"
    install_it "$folder"
    [ "$(stat -c '%a %U' "$folder/usr/bin/$name")" = "755 root" ] || fail "the program has another mode"
    chroot "$folder" "/usr/bin/$name" --version
    chroot "$folder" id "$name"
    [ "$(chroot "$folder" stat -c '%a %U:%G' "/var/lib/$name")" = "700 $name:$name" ] || fail "$state is not the user's own"
    [ "$(chroot "$folder" stat -c '%a %U:%G' "/etc/$name")" = "750 root:$name" ] || fail "$settings has another mode"
    [ -z "$(ls -A "$settings")" ] || fail "a settings file was installed"
    [ -z "$(find "$folder/etc/systemd" -name "*$name*" 2>/dev/null)" ] || fail "a unit was enabled"

    # The service's command, as its user, over TLS.
    cp "$authority" "$settings/sandbox-ca.pem"
    url="$(sed -n "s/^export RF_API_URL='\(.*\)'$/\1/p" "$tests/environment")"
    for secret in RF_API_KEY CS_CLIENT_ID CS_CLIENT_SECRET CB_API_ID CB_SECRET; do
        sed -n "s/^export $secret='\(.*\)'$/\1/p" "$tests/environment" >"$settings/$secret"
    done
    cat >"$settings/config.toml" <<END
[defaults]
ca-cert = "/etc/$name/sandbox-ca.pem"
rf-api-url = "$url"
rf-api-key-file = "/etc/$name/RF_API_KEY"
ledger = "/var/lib/$name/$name.db"
[[tenant]]
name = "falcon"
source = "crowdstrike"
base-url = "$url"
client-id-file = "/etc/$name/CS_CLIENT_ID"
client-secret-file = "/etc/$name/CS_CLIENT_SECRET"
[[tenant]]
name = "cbc"
source = "carbonblack"
hostname = "$url"
org-id = "$(sed -n "s/^export CB_ORG_ID='\(.*\)'$/\1/p" "$tests/environment")"
api-id-file = "/etc/$name/CB_API_ID"
secret-file = "/etc/$name/CB_SECRET"
END
    chroot "$folder" sh -c "chown root:$name /etc/$name/* && chmod 640 /etc/$name/*"
    # shellcheck disable=SC2046
    in_root "$folder" "$name" STATE_DIRECTORY="/var/lib/$name" sh -c \
        "cd /var/lib/$name && exec $(sed -n 's/^ExecStart=//p' "$folder/usr/lib/systemd/system/$name-run.service")"
    in_root "$folder" "$name" "/usr/bin/$name" status --max-age 1h
    # The settings of the service are not those of other users.
    in_root "$folder" nobody HOME=/tmp "/usr/bin/$name" generate cron >/dev/null
    ledger="$(sha256sum <"$state/$name.db")"
    [ "$(stat -c %a "$state/$name.db")" = 600 ] || fail "others can read the ledger"
    if [ -x "$folder/usr/bin/systemd-analyze" ]; then
        cp "$folder/usr/share/doc/$name/examples/$name-failed@.service" "$folder/etc/systemd/system/"
        chroot "$folder" systemd-analyze verify --recursive-errors=no "$name-run.service" "$name-run.timer" "$name-failed@$name-run.service"
        rm "$folder/etc/systemd/system/$name-failed@.service"
        chroot "$folder" systemctl --quiet enable "$name-run.timer"
        [ -L "$folder/etc/systemd/system/timers.target.wants/$name-run.timer" ] || fail "the timer is not enabled"
    fi

    # Over itself, as an upgrade does.
    install_it "$folder"
    [ ! -e "$folder/usr/bin/systemctl" ] || [ -L "$folder/etc/systemd/system/timers.target.wants/$name-run.timer" ] ||
        fail "an upgrade disabled the timer"
    remove_it "$folder"
    purge_it "$folder"
    [ "$(sha256sum <"$state/$name.db")" = "$ledger" ] || fail "the ledger was changed or removed"
    [ -f "$settings/config.toml" ] || fail "the settings were removed"
    rm -r "$state" "$settings"

    # Without data, nothing is left.
    install_it "$folder"
    remove_it "$folder"
    purge_it "$folder"
    list_files "$folder" >"$tests/after"
    assert_same "the package left something, or removed what is not its own" "$tests/before" "$tests/after"
}

# Creates a clean Debian root with these packages, separated by commas.
create_root() {
    local sources=()
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
        [ ! -f "$file" ] || sources+=("$file")
    done
    mmdebstrap --quiet --variant=minbase --mode=root --include="$2" \
        "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$1" "${sources[@]}"
}

if [ "$(id -u)" -ne 0 ] || ! debian_tool mmdebstrap mmdebstrap; then
    skip "not tested: installing the packages (needs root and mmdebstrap)"
else
    for packages in ca-certificates ca-certificates,systemd; do
        step "test: install, use and remove in a clean root with $packages"
        if ! create_root "$tests/root" "$packages"; then
            skip "not tested: installing the packages (no clean root with $packages)"
            break
        fi
        if [ -n "$deb" ]; then
            cp "$deb" "$tests/root/tmp/package.deb"
            install_it() { chroot "$1" dpkg --install /tmp/package.deb; }
            remove_it() { chroot "$1" dpkg --remove "$name"; }
            purge_it() { chroot "$1" dpkg --purge "$name"; }
            test_installed "$tests/root"
        fi
        if have rpm; then
            # Debian has the dependencies, but its rpm does not know. Where rpm is at home, these folders
            # belong to the system.
            mkdir -p "$tests"/root/usr/lib/sysusers.d "$tests"/root/usr/share/{licenses,zsh/site-functions} \
                "$tests"/root/usr/share/{fish/vendor_completions.d,bash-completion/completions}
            install_it() { rpm --root "$1" --dbpath /var/lib/rpm --upgrade --force --nodeps --quiet "$rpm"; }
            remove_it() { rpm --root "$1" --dbpath /var/lib/rpm --erase "$name"; }
            purge_it() { :; }
            test_installed "$tests/root"
        fi
        rm -rf --one-file-system "$tests/root"
    done
fi
