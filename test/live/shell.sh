# Pipelines, background jobs, traps, subshells, signals: what a shell does all day.
trap 'echo usr1' USR1
for i in 1 2 3; do
  (sleep 0.02; exit $i) &
done
wait
seq 1 200 | grep 7 | sort -r | head -3
kill -USR1 $$
(trap '' TERM; sleep 0.05) &
kill -TERM $! 2>/dev/null
wait $!
x=$(printf 'a\nb\n' | while read -r l; do echo "$l$l"; done)
echo "$x" | tr a-z A-Z
sleep 5 &
kill -KILL $!
wait $! || echo "killed $?"
yes | head -1
exec 3< /etc/passwd
read -r line <&3
exec 3<&-
(exec true)
