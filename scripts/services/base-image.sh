#!/usr/bin/env bash
# Makes the image that tests of containers use, out of this distribution's packages: they are
# unpacked, not installed, into a root file system that Docker imports. No image registry is needed.
#
# In the image: python3 with its standard library and what torchx needs, bash, sh and busybox's
# tools; the working directory is /app, where workspaces go. The file system is kept, so that
# another engine gets the image in a second.
#
#   usage: base-image.sh [IMAGE]    (torchx-test/python:3)
#   DOCKER_HOST   the engine that gets it
#   FORCE=1       make it anew
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/services/lib.sh
. "$here/lib.sh"

image=${1:-torchx-test/python:3}
version=$(sha256sum <"${BASH_SOURCE[0]}" | cut -c1-12)
archive=/var/cache/torchx-test-image/$version.tar
venv=${TORCHX_VENV:-$here/../../.venv}

docker info >/dev/null 2>&1 || die "no Docker engine answers (run scripts/services/dockerd-up.sh)"
if [ -z "${FORCE:-}" ] &&
    [ "$(docker image inspect --format '{{index .Config.Labels "torchx-test"}}' "$image" 2>/dev/null)" = "$version" ]; then
    say "$image exists"
    exit 0
fi

find_python() {
    apt-cache depends python3-minimal 2>/dev/null |
        sed -n 's/.*Depends: \(python3\.[0-9]*\)-minimal.*/\1/p' | head -n1
}

make_archive() {
    local python work packages try package applet place
    need_root
    python=$(find_python)
    if [ -z "$python" ]; then
        apt-get -qq update
        python=$(find_python)
    fi
    [ -n "$python" ] || die "cannot tell the Python of this distribution from apt-cache"
    packages=(
        base-files base-passwd netbase media-types tzdata bash dash busybox-static libc6 libc-bin
        "$python" "$python-minimal" "lib$python-stdlib" "lib$python-minimal"
        libbz2-1.0 libcrypt1 libdb5.3 libexpat1 libffi8 libgcc-s1 liblzma5 libncursesw6 libreadline8
        libsqlite3-0 libssl3 libstdc++6 libtinfo6 libuuid1 zlib1g
        libcom-err2 libgssapi-krb5-2 libk5crypto3 libkeyutils1 libkrb5-3 libkrb5support0 libnsl2 libtirpc3
    )
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # the directory of now
    trap "rm -rf '$work'" EXIT
    mkdir "$work/debs" "$work/root"
    say "downloading ${#packages[@]} packages"
    for try in 1 2 3; do
        if (cd "$work/debs" && apt-get -qq -o APT::Sandbox::User=root download "${packages[@]}" >/dev/null); then
            break
        fi
        [ "$try" -lt 3 ] || die "cannot download the packages"
        apt-get -qq update || true
    done
    for package in "$work"/debs/*.deb; do
        dpkg-deb -x "$package" "$work/root"
    done
    (
        cd "$work/root"
        rm -rf usr/share/{doc,man,locale,info,lintian,perl,pixmaps}
        ln -sf "$python" usr/bin/python3
        ln -sf python3 usr/bin/python
        ln -sf dash bin/sh
        for applet in $(bin/busybox --list); do
            for place in bin sbin usr/bin usr/sbin; do
                if [ -e "$place/$applet" ] || [ -L "$place/$applet" ]; then continue 2; fi
            done
            ln -s /bin/busybox "bin/$applet"
        done
        cp usr/share/base-passwd/passwd.master etc/passwd
        cp usr/share/base-passwd/group.master etc/group
        mkdir -p app root tmp
        chmod 1777 tmp
        chroot . /sbin/ldconfig
    )
    "$venv/bin/python" -m pip --quiet --disable-pip-version-check install --no-compile \
        --only-binary :all: --python-version "${python#python}" \
        --target "$work/root/usr/local/lib/$python/dist-packages" \
        docstring-parser fsspec pyyaml requests 2> >(grep -v '^WARNING' >&2)
    mkdir -p "$(dirname "$archive")"
    tar --numeric-owner --owner=0 --group=0 -C "$work/root" -cf "$archive.$$" .
    mv "$archive.$$" "$archive"
}

if [ -n "${FORCE:-}" ] || [ ! -e "$archive" ]; then
    make_archive
fi
docker import \
    --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'ENV LANG=C.UTF-8' \
    --change 'WORKDIR /app' \
    --change 'CMD ["bash"]' \
    --change "LABEL torchx-test=$version" "$archive" "$image" >/dev/null
docker run --rm --network none "$image" python3 -c \
    'import bz2, ctypes, fsspec, hashlib, lzma, multiprocessing, requests, sqlite3, ssl, uuid, yaml' ||
    die "the Python of the new image does not work"
say "made $image: $(docker run --rm --network none "$image" python3 -V)," \
    "$(($(docker image inspect --format '{{.Size}}' "$image") / 1000000)) MB"
