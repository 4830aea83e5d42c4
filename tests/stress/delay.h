/* tests/stress/delay.h: what builds with MID_DELAYS add: gc/delay.h says where. */
#ifndef STRESS_DELAY_H
#define STRESS_DELAY_H

/* Prints how often the collector came by each place. Nothing in other builds. */
void delays_end(void);

#endif
