#!/usr/bin/env bash
# Makes the machine that test/vm boots, under build/vm, once for each version of this script:
#   vmlinuz     Debian's cloud kernel, taken out of its package (nothing is installed on the host)
#   initrd.gz   busybox and the drivers of the disks; it starts what the second disk says (test/vm/guest)
#   root.ext4   a small Debian with systemd, dbus and a user `vitrine-test`
# Needs root, mmdebstrap and its mirror, busybox, mke2fs; says which is missing and leaves nothing half-made.
set -euo pipefail
cd "$(dirname "$0")/.."
out=build/vm
version=$(sha256sum scripts/vm-image.sh | cut -c1-16)
[ "$(cat "$out/version" 2>/dev/null || true)" != "$version" ] || exit 0

lacking() { echo "vm: no machine ($1); the tests of test/vm will say so"; exit 0; }
[ "$(id -u)" = 0 ] || lacking "not root"
for tool in mmdebstrap busybox mke2fs dpkg-deb gzip; do command -v "$tool" >/dev/null || lacking "no $tool"; done
mirror=$(grep -hoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -1 | tr -d ' ' || true)
[ -n "$mirror" ] || lacking "no Debian mirror in /etc/apt"
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")

work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
packages=systemd-sysv,dbus,dbus-user-session,libpam-systemd,login,uidmap,kmod,iproute2,procps,apparmor,libatomic1,libstdc++6,runc,crun,criu,iptables,checkpolicy
mmdebstrap --variant=minbase --quiet --include="$packages" --format=directory \
  --customize-hook='chroot "$1" sh -c "cd /var/tmp && apt-get -qq download \$(apt-cache depends linux-image-cloud-amd64 | sed -n \"s/^ *Depends: //p\")"' \
  "$suite" "$work/root" "$mirror" >"$work/log" 2>&1 || { tail -5 "$work/log"; lacking "mmdebstrap failed"; }
root=$work/root
chmod 755 "$root"

# The kernel and its modules.
mkdir "$work/kernel"
dpkg-deb -x "$root"/var/tmp/linux-image-*.deb "$work/kernel"
rm -rf "$root"/var/tmp/* "$root"/var/cache/apt "$root"/var/lib/apt/lists/*
mkdir -p "$root/lib/modules"
cp -a "$work"/kernel/lib/modules/* "$root/lib/modules/"
kernel=$(ls "$root/lib/modules")
chroot "$root" depmod "$kernel"

# The user of the rootless lane, and controllers for it (docs of systemd and of all engines advise the same drop-in).
chroot "$root" useradd --create-home --shell /bin/bash vitrine-test
echo "vitrine-test:600000:65536" | tee "$root/etc/subuid" >"$root/etc/subgid"
mkdir -p "$root/etc/systemd/system/user@.service.d"
printf '[Service]\nDelegate=cpu cpuset io memory pids\n' >"$root/etc/systemd/system/user@.service.d/delegate.conf"

# What a machine that lives for a minute has no use for.
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
rm -f "$root"/etc/systemd/system/*.wants/*.timer "$root"/lib/systemd/system/timers.target.wants/*
for unit in systemd-udevd systemd-udev-trigger systemd-udev-settle systemd-hwdb-update ldconfig systemd-journal-catalog-update \
  systemd-update-done systemd-firstboot systemd-sysusers apparmor e2scrub_reap systemd-random-seed systemd-journal-flush \
  systemd-pstore kmod-static-nodes modprobe@ systemd-modules-load systemd-sysctl systemd-tmpfiles-setup-dev \
  systemd-tmpfiles-setup systemd-remount-fs systemd-timesyncd systemd-binfmt getty@ systemd-machine-id-commit systemd-update-utmp; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit.service"
done
for unit in dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
  sys-kernel-config.mount proc-sys-fs-binfmt_misc.automount systemd-udevd-control.socket systemd-udevd-kernel.socket \
  systemd-journald-audit.socket systemd-initctl.socket; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

# The first program: drivers, disks, then what the second disk says.
modules=$root/lib/modules/$kernel/kernel/drivers
mkdir -p "$work/initrd"/{bin,dev,proc,root,modules}
cp "$(command -v busybox)" "$work/initrd/bin/busybox"
for module in virtio/virtio virtio/virtio_ring virtio/virtio_pci_modern_dev virtio/virtio_pci_legacy_dev virtio/virtio_pci \
  block/virtio_blk char/virtio_console; do
  if [ -e "$modules/$module.ko" ]; then cp "$modules/$module.ko" "$work/initrd/modules/"; fi
  if [ -e "$modules/$module.ko.xz" ]; then xz -dc "$modules/$module.ko.xz" >"$work/initrd/modules/${module##*/}.ko"; fi
done
cat >"$work/initrd/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
for name in virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk virtio_console; do
  $b insmod "/modules/$name.ko" 2>/dev/null
done
$b mount -t devtmpfs dev /dev
$b mount -t ext4 -o rw,noatime /dev/vda /root
$b mkdir -p /root/vitrine
$b mount -t ext4 -o ro /dev/vdb /root/vitrine
$b mount --move /dev /root/dev
exec $b switch_root /root /vitrine/test/vm/guest/init
INIT
chmod +x "$work/initrd/init"
(cd "$work/initrd" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1 >"$work/initrd.gz")

mkdir -p "$out"
rm -f "$out/version"
mke2fs -q -t ext4 -d "$root" "$work/root.ext4" 1500M >/dev/null
cp --sparse=always "$work/root.ext4" "$out/root.ext4"
cp "$work/initrd.gz" "$out/initrd.gz"
cp "$work/kernel/boot/vmlinuz-$kernel" "$out/vmlinuz"
chmod -R a+rX "$out"
echo "$version" >"$out/version"
