#!/usr/bin/env bash
# Becomes a systemd of its own: process 1 of new namespaces, on an overlay of the machine's root.
#
#   boot.sh BASE CGROUP CHECKOUT
#
# Run as process 1 of new mount, pid, network, uts and ipc namespaces (see machine.py). BASE is an empty directory,
# CGROUP a cgroup2 directory made for this, CHECKOUT appears as /srv/synguard. systemd empties /tmp and /run, so
# nothing here goes on unless the step before it worked. No file is written or removed before / is the overlay,
# for until then a symbolic link would lead to the machine's own, and where / leads is looked at once more.
set -euo pipefail

if [ "$$" -ne 1 ]; then
    echo "boot.sh: only for process 1 of namespaces made for it" >&2
    exit 2
fi

if [ "$1" != --in-cgroup ]; then
    echo 1 >"$2/cgroup.procs"
    exec unshare --cgroup -- "${BASH_SOURCE[0]}" --in-cgroup "$@"
fi
base=$2
checkout=$4

# -n: libmount shall not note these mounts in the machine's own /run.
mount() { command mount -n "$@"; }

mount --make-rprivate /
mount -t tmpfs -o mode=0755,size=2g synguard-test "$base"
mkdir "$base"/{root,upper,work,checkout-upper,checkout-work}
mount -t overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" overlay "$base/root"
cd "$base/root"

mount -t tmpfs -o mode=0755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
touch run/.of-the-test tmp/.of-the-test
mkdir run/old run/checkout
mount -t overlay -o "lowerdir=$checkout,upperdir=$base/checkout-upper,workdir=$base/checkout-work" \
    overlay run/checkout
mount -t proc proc proc
# Read-only, as containers have it: udev stays away, and no global setting of the kernel can be written.
mount -t sysfs -o ro sysfs sys
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,rw proc/sys/net
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t bpf -o mode=0700 bpf sys/fs/bpf
mount -t tmpfs -o mode=0755 tmpfs dev
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s /proc/self/fd dev/fd

pivot_root . run/old
cd /
umount -l /run/old
rmdir /run/old
if [ "$(stat -f -c %T /)" != overlayfs ] || ! rm /run/.of-the-test /tmp/.of-the-test; then
    echo "boot.sh: /, /run or /tmp are not those made here: not starting systemd" >&2
    exit 1
fi
mkdir -p /srv/synguard
mount --move /run/checkout /srv/synguard
rmdir /run/checkout

# A synguard that is installed on this machine is not on that one.
rm -rf /{opt,etc,var/lib}/synguard /usr/local/bin/synguard /etc/{sysusers,tmpfiles}.d/synguard.conf

# Nothing that this machine enables may start: neither its units, nor its init scripts, nor its fstab.
mount -t tmpfs -o mode=0755 tmpfs /etc/systemd/system
for folder in {,/usr/local}/lib/systemd/system-generators /etc/systemd/system-generators; do
    [ ! -d "$folder" ] || mount -t tmpfs -o mode=0755 tmpfs "$folder"
done
: >/etc/fstab
rm -f /etc/machine-id
tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
echo synguard-test >/etc/hostname
for unit in systemd-{sysctl,modules-load,binfmt,random-seed,pstore,firstboot,logind,remount-fs,timesyncd}.service \
    systemd-{udevd,udev-trigger,hwdb-update,update-utmp}.service systemd-udevd-{control,kernel}.socket \
    kmod-static-nodes.service modprobe@.service proc-sys-fs-binfmt_misc.automount dev-hugepages.mount \
    sys-kernel-{debug,tracing,config}.mount sys-fs-fuse-connections.mount getty.target; do
    ln -s /dev/null "/etc/systemd/system/$unit"
done

exec env -i container=synguard-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=multi-user.target --log-target=journal --show-status=false
