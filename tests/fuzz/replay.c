/* Gives every file of a folder to the target: a corpus again, in a build that counts lines. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include "host.h"

#define INPUT_BYTES_MAX 65536

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int main(int count, char **arguments)
{
	static u8 data[INPUT_BYTES_MAX];
	DIR *folder = count == 2 ? opendir(arguments[1]) : NULL;
	char path[4096];

	if (!folder)
		return EXIT_FAILURE;
	for (struct dirent *entry; (entry = readdir(folder));) {
		FILE *file;

		if (entry->d_type != DT_REG)
			continue;
		snprintf(path, sizeof(path), "%s/%s", arguments[1], entry->d_name);
		file = fopen(path, "rb");
		if (!file)
			return EXIT_FAILURE;
		LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof(data), file));
		fclose(file);
	}
	closedir(folder);
	return EXIT_SUCCESS;
}
