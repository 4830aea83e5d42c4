/* tests/stress/audit.h: the whole model against the whole heap. */
#ifndef STRESS_AUDIT_H
#define STRESS_AUDIT_H

/* Every live object's count, type, size, slots and (samples of) contents, weak references, statistics, payloads. What the
 * heap has not caught up with is left out. audit_heap_check: the heap's own check alone. */
void audit(void);
void audit_heap_check(void);

#endif
