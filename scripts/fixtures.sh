#!/usr/bin/env bash
# Makes the images that the integration tests use, under build/fixtures, once:
#   probe.tar        a root filesystem with the probe and busybox (small, always there)
#   debian.tar       a Debian root filesystem by mmdebstrap (where mmdebstrap and its mirror are there)
#   alpine.tar.gz    an Alpine root filesystem, where VITRINE_TEST_ALPINE names one
set -euo pipefail
cd "$(dirname "$0")/.."
out=build/fixtures
mkdir -p "$out"
if [ ! -s "$out/probe.tar" ] || [ build/probe -nt "$out/probe.tar" ]; then
  work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
  root=$work/root
  mkdir -p "$root"/{bin,etc,tmp,root,home/user,var,usr/bin,lib,proc,sys,dev}
  chmod 755 "$root"; chmod 1777 "$root/tmp"; chmod 700 "$root/root"
  install -m 755 build/probe "$root/bin/probe"
  busybox=$(command -v busybox) && install -m 755 "$busybox" "$root/bin/busybox"
  for tool in sh cat ls echo true false id env sleep touch mkdir rm kill ps stat mount umount ln chmod chown stty tty head tail wc seq grep sed dd sync readlink hostname ip ulimit trap test expr mknod unshare nc yes printf find dirname basename cp mv date; do
    ln -sf busybox "$root/bin/$tool"
  done
  printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:User:/home/user:/bin/sh\nother:x:1001:1001::/home/other:/bin/sh\n' >"$root/etc/passwd"
  printf 'root:x:0:\nuser:x:1000:\nother:x:1001:\nstaff:x:50:user\naudio:x:29:user,other\n' >"$root/etc/group"
  tar -C "$root" --sort=name --mtime=@0 --numeric-owner --owner=0 --group=0 -cf "$out/probe.tar.part" .
  mv "$out/probe.tar.part" "$out/probe.tar"
fi
alpine=${VITRINE_TEST_ALPINE:-}
[ -n "$alpine" ] || alpine=$(ls ../shared/images/alpine-minirootfs-*-x86_64.tar.gz 2>/dev/null | head -1 || true)
if [ ! -s "$out/alpine.tar.gz" ] && [ -n "$alpine" ]; then cp "$alpine" "$out/alpine.tar.gz"; fi
if [ ! -s "$out/debian.tar" ] && [ "$(id -u)" = 0 ] && command -v mmdebstrap >/dev/null; then
  mirror=$(grep -hoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -1 | tr -d ' ' || true)
  suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
  if [ -n "$mirror" ] && mmdebstrap --variant=minbase --quiet --include=ca-certificates "$suite" "$out/debian.tar.part" "$mirror" --format=tar; then
    mv "$out/debian.tar.part" "$out/debian.tar"
  else
    rm -f "$out/debian.tar.part"; echo "fixtures: no Debian root filesystem (mmdebstrap or its mirror failed); its tests will say so"
  fi
fi
chmod -R a+rX "$out"
