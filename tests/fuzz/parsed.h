/* What both builds of the parser say of a frame, in the same bytes. */
#ifndef SYNGUARD_PARSED_H
#define SYNGUARD_PARSED_H

#define UNSET 0xa5 /* what the parser has not written still holds this */

struct parsed {
	u32 result;
	struct packet packet;
	struct address masked; /* the source, cut to a prefix whose length follows from the frame's */
};

#define PREFIX_LENGTH(frame_bytes) ((frame_bytes) % 129)

#endif
