/*
 * The rival of the `boot` bench: an init that does nothing but power off. What the same kernel needs to get here is
 * the floor that no node can be under.
 *
 * It prints the level of lockdown first, so that one boot also shows that the kernel is the one meant to be measured.
 * Build: gcc -static -Os -s -o init empty-init.c
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <unistd.h>

static void say(const char *text, size_t size_bytes)
{
	/* A console that takes no bytes is no reason to stay up. */
	if (write(1, text, size_bytes) < 0)
		return;
}

int main(void)
{
	static const char reached[] = "empty-init: reached\n";
	static const char prefix[] = "empty-init: lockdown ";
	char level[128];
	ssize_t size_bytes;
	int file;

	say(reached, sizeof reached - 1);
	if (mount("sysfs", "/sys", "sysfs", 0, 0) == 0 &&
	    mount("securityfs", "/sys/kernel/security", "securityfs", 0, 0) == 0) {
		file = open("/sys/kernel/security/lockdown", O_RDONLY);
		size_bytes = read(file, level, sizeof level);
		if (size_bytes > 0) {
			say(prefix, sizeof prefix - 1);
			say(level, (size_t)size_bytes);
		}
	}
	reboot(RB_POWER_OFF);
	return 1; /* the kernel panics when init ends: better than standing still */
}
