/*
 * The rival of the `update` bench: on the same machine and kernel, `dd conv=fsync` of a slot's bytes into the other slot
 * and `sha256sum` of what was written. What an install cannot do without, done by the usual tools.
 *
 * Prints "copy-and-hash: COPY_MS HASH_MS" and powers off.
 * Build: gcc -Os -s -DMEBIBYTES=<n> -o init copy-and-hash.c
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)
#define COUNT "count=" TEXT(MEBIBYTES)

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Starts a program; `input` and `output` become its standard input and output where they are not negative. */
static pid_t start(char *const arguments[], int input, int output)
{
	pid_t child = fork();

	if (child != 0)
		return child;
	if (input >= 0)
		dup2(input, 0);
	if (output >= 0)
		dup2(output, 1);
	execv(arguments[0], arguments);
	_exit(127);
}

static int ended_well(pid_t child)
{
	int status;

	return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(void)
{
	char *const copy[] = { "/bin/dd", "if=/dev/vda2", "of=/dev/vda3", "bs=1M", COUNT, "conv=fsync", NULL };
	char *const read_back[] = { "/bin/dd", "if=/dev/vda3", "bs=1M", COUNT, "iflag=direct", NULL };
	char *const hash[] = { "/bin/sha256sum", NULL };
	int ends[2];
	pid_t reader, hasher;
	long began_ms, copied_ms;
	int is_well;

	began_ms = now_ms();
	is_well = ended_well(start(copy, -1, -1));
	copied_ms = now_ms();
	if (is_well && pipe2(ends, O_CLOEXEC) == 0) {
		reader = start(read_back, -1, ends[1]);
		hasher = start(hash, ends[0], -1);
		close(ends[0]);
		close(ends[1]);
		is_well = ended_well(reader) & ended_well(hasher);
		if (is_well)
			printf("copy-and-hash: %ld %ld\n", copied_ms - began_ms, now_ms() - copied_ms);
	}
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 1; /* the kernel panics when init ends: better than standing still */
}
