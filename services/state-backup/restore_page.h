#ifndef RESTORE_PAGE_H
#define RESTORE_PAGE_H

#include "service.h"

/* Rebuild the caches of up to a thousand characters: one page of `garrisonctl restore --all`. */
extern const struct schema restore_page_request, restore_page_result;
handle_fn restore_page;

#endif
