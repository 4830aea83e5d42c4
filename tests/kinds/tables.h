/* tests/kinds/tables.h: X(file's table of timed cases, file's table of held ones); each ends with an element without a name. */
#define CASE_TABLES(X)                                                                                                 \
    X(number_timed, number_held)                                                                                       \
    X(sequence_timed, sequence_held)                                                                                   \
    X(string_timed, string_held)                                                                                       \
    X(dict_timed, dict_held)                                                                                           \
    X(set_timed, set_held)
