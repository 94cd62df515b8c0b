#!/usr/bin/env bash
# What the tests need beyond Node and a C compiler: Debian's packages where we are root, and the unprivileged user of the
# rootless lane. Says what is missing where it cannot install; the tests that need it then name it.
set -euo pipefail
packages=(uidmap skopeo umoci runc crun podman buildah containerd docker.io docker-registry mmdebstrap busybox-static xz-utils zstd clang libclang-rt-14-dev hyperfine util-linux zsh fish strace qemu-system-x86 e2fsprogs apparmor criu chromium openssl swift-proxy swift-account swift-container swift-object)
probe=(newuidmap skopeo umoci runc crun podman buildah containerd dockerd docker-registry mmdebstrap busybox xz zstd clang dpkg hyperfine script zsh fish strace qemu-system-x86_64 mke2fs apparmor_parser criu chromium openssl swift-proxy-server swift-account-server swift-container-server swift-object-server)
missing=()
for i in "${!probe[@]}"; do command -v "${probe[$i]}" >/dev/null 2>&1 || missing+=("${probe[$i]}"); done
if [ "${#missing[@]}" -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "setup: installing Debian packages for: ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
  else
    echo "setup: not installed and not root: ${missing[*]} (tests that need them will say so)"
  fi
fi
if [ "$(id -u)" = 0 ] && ! id vitrine-test >/dev/null 2>&1; then
  useradd --create-home --shell /bin/bash vitrine-test
fi
if [ "$(id -u)" = 0 ] && ! grep -q '^vitrine-test:' /etc/subuid; then
  echo "vitrine-test:600000:65536" >>/etc/subuid
  echo "vitrine-test:600000:65536" >>/etc/subgid
fi
