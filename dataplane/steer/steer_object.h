/* The compiled steering program (steer.bpf.c) as an ELF object in memory. */
#ifndef HOLDFAST_DATAPLANE_STEER_STEER_OBJECT_H_
#define HOLDFAST_DATAPLANE_STEER_STEER_OBJECT_H_

#include <stddef.h>

#ifdef __cplusplus
extern "C"
#endif
    const void*
    holdfast_steer_object(size_t* size);

#endif
