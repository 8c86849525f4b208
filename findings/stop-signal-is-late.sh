#!/usr/bin/env bash
# Linux: `kill(pid, SIGSTOP)` returns while threads of the process still run.
#
# Versions: Linux 6.18; a C compiler.
# A program that stops a process and then looks at what it left expects that nothing changes any more.
# The signal is only sent then: threads on other processors stop when they next enter the kernel, and what they do until
# then happens.
# `waitpid` with `WUNTRACED` returns when all have stopped.
# Seen (two processors):
#   after kill: they went on
#   after waitpid: still
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/stop.c" <<'C'
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 300 };
static _Atomic long *counts;

static void *count(void *own) {
    for (;;) atomic_fetch_add((_Atomic long *)own, 1);
}

static long sum(void) {
    long all = 0;
    for (int i = 0; i < THREADS; i++) all += counts[i];
    return all;
}

int main(void) {
    counts = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        for (int i = 0; i < THREADS; i++) pthread_create(&thread, 0, count, (void *)&counts[i]);
        alarm(30);
        for (;;) pause();
    }
    while (sum() == 0) usleep(1000);
    int late_after_kill = 0, late_after_wait = 0;
    for (int round = 0; round < ROUNDS; round++) {
        kill(child, SIGSTOP);
        long after_kill = sum();
        waitpid(child, 0, WUNTRACED);
        long after_wait = sum();
        usleep(500);
        late_after_kill += after_wait != after_kill;
        late_after_wait += sum() != after_wait;
        kill(child, SIGCONT);
        usleep(2000);
    }
    kill(child, SIGKILL);
    printf("after kill: %s\nafter waitpid: %s\n", late_after_kill ? "they went on" : "still",
           late_after_wait ? "they went on" : "still");
    fprintf(stderr, "rounds %d, late after kill %d, after waitpid %d\n", ROUNDS, late_after_kill, late_after_wait);
}
C
cc -O1 -pthread -o "$dir/stop" "$dir/stop.c"
seen=$("$dir/stop")
echo "$seen"
[ "$seen" = 'after kill: they went on
after waitpid: still' ]
