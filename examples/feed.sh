#!/bin/sh
# Prints all that has changed since the last run, a page a line. The file `cursor` remembers how far it got.
#   sh feed.sh http://localhost:3000/updates
until case $page in *'"more":false}') true ;; *) false ;; esac; do
  page=$(curl -sf "$1?since=$(cat cursor 2>/dev/null || echo start)") || exit
  printf '%s\n' "$page"
  printf '%s' "$page" | sed 's/.*"cursor":"\([^"]*\)".*/\1/' > cursor
done
