// The compiled steering program as bytes, so that the daemon needs no file beside it.
#include "dataplane/steer/steer_object.h"

#include "steer.skel.h"

const void *holdfast_steer_object(size_t *size) { return steer_object__elf_bytes(size); }
