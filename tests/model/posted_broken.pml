/* SPDX-License-Identifier: BSD-2-Clause */
/* As posted.pml, but the requests are taken before the notification: must fail. */
#define NOTIFICATION_FIRST 0
#include "posted.pml"
