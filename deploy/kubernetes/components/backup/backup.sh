# Copies the storage to a folder of $BACKUPS named after the time, and removes all but the newest 7.
set -eu
BACKUP=$BACKUPS/$(date +%Y-%m-%dT%H%M%S)
mkdir -p "$BACKUP"
for part in serving datasets checkpoints jobs runs trainer; do
    [ ! -e "$STORAGE/$part" ] || tar -C "$STORAGE" --exclude='*#*' -cf "$BACKUP/$part.tar" "$part" || [ $? -eq 1 ]
done
du -sh "$BACKUP"
set -- "$BACKUPS"/*/
while [ $# -gt 7 ]; do
    rm -r "$1"
    shift
done
