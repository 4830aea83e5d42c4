/* lab.h: the subcommands of the program `midden`, and what they share. */
#ifndef MIDDEN_LAB_LAB_H
#define MIDDEN_LAB_LAB_H

#include <stdbool.h>
#include <stddef.h>

/* Each takes its own name as argv[0] and returns the exit status: 2 for a command line it does not understand. */
int cmd_bench(int argc, char **argv); /* tests/bench */
int cmd_record(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_options(int argc, char **argv);
int cmd_ctl(int argc, char **argv);
int cmd_balance(int argc, char **argv);
int cmd_simulate(int argc, char **argv);

/* Say what is wrong with the command line, and how to get help; returns 2. */
__attribute__((format(printf, 1, 2)))
int lab_usage(const char *reason, ...);
/* Say what went wrong; returns 1. */
__attribute__((format(printf, 1, 2)))
int lab_error(const char *reason, ...);

/* The file `name` that belongs to this program: in `built` beside the program in a build tree, in `installed` as
 * seen from bin/ in an installation. Returns `into`, or null after an error message. */
char *lab_find(const char *name, const char *built, const char *installed, char *into, size_t room);

/* The value of option argv[*at] ("--name VALUE"), *at moved to it; null after a message if there is none. */
const char *lab_value(int argc, char **argv, int *at);

#endif
