/*
 * command.h: the subcommands, one file each
 *
 * Each parses its own arguments (argv[0] is "heapctl NAME"), does its work and returns the exit
 * status; or it ends the process through fail() or argp's usage error.
 */
#ifndef HEAPD_HEAPCTL_COMMAND_H
#define HEAPD_HEAPCTL_COMMAND_H

#include "heapctl/options.h"

typedef int command_fn(int argc, char **argv, struct options *o);

command_fn command_list, command_inspect, command_create, command_delete, command_chmod,
	command_chown, command_regions, command_stat, command_top, command_ping, command_run;

#endif
