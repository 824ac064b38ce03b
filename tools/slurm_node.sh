#!/usr/bin/env bash
# One SLURM node on this machine, for tests and for a first try before the real cluster: Debian's slurmctld, slurmd and munge, as root.
#   tools/slurm_node.sh up FOLDER
#   tools/slurm_node.sh down FOLDER
# No accounting, as on many small clusters. Everything lies in FOLDER but munge's key and socket, which are the machine's, and a link from
# /etc/slurm/slurm.conf, where srun inside a job looks.
set -euo pipefail
what=${1:?up or down} folder=$(realpath -m "${2:?a folder}")

stop() { # by the pid file that a daemon wrote
    [ -f "$1" ] && kill "$(cat "$1")" 2> /dev/null || true
}

link=/etc/slurm/slurm.conf
if [ "$what" = down ]; then
    [ "$(readlink "$link")" = "$folder/slurm.conf" ] && rm "$link"
    for name in slurmd slurmctld munged; do stop "$folder/$name.pid"; done
    exit
fi
for name in slurmctld slurmd munged sbatch; do
    command -v $name > /dev/null || { echo "There is no $name: apt-get install slurmctld slurmd munge slurm-client"; exit 2; }
done
[ "$(id -u)" = 0 ] || { echo "Only root can start a node."; exit 2; }

if [ -e "$link" ] && [ "$(readlink "$link")" = "" ]; then
    echo "This machine has a $link of its own; nothing was changed."
    exit 2
fi

mkdir -p "$folder/state" "$folder/spool" /run/munge /etc/munge
[ -s /etc/munge/munge.key ] || (umask 077 && head -c 1024 /dev/urandom > /etc/munge/munge.key)
chown root: /etc/munge /etc/munge/munge.key /run/munge && chmod 700 /etc/munge && chmod 400 /etc/munge/munge.key && chmod 755 /run/munge
munge -n > /dev/null 2>&1 || munged --force --pid-file "$folder/munged.pid" --log-file "$folder/munged.log"

host=$(hostname -s)
cpus=$(nproc)
[ "$cpus" -ge 4 ] || cpus=4 # a job that waits must not keep the others from starting on a machine of one core
cat > "$folder/slurm.conf" <<CONF
ClusterName=modts
SlurmctldHost=$host(127.0.0.1)
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo) State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
mkdir -p /etc/slurm && ln -sfn "$folder/slurm.conf" "$link"
slurmctld
slurmd
for _ in $(seq 50); do
    sinfo --noheader --format=%t 2> /dev/null | grep -q idle && { echo "The node is up."; exit; }
    sleep 0.2
done
echo "The node did not come up; look at $folder/slurmctld.log and $folder/slurmd.log."
exit 1
