/* The texts of a launch record: what this start has is put into their slots, or found in their place. */
#include "launch.h"
#include <string.h>

/* All texts of a start: a record is at most 512 KiB, its slots add little. */
static char memory[1 << 20];
static size_t used;

uint8_t launch_u8(struct launch_reader *r) {
  if (r->at == r->end) {
    r->bad = true;
    return 0;
  }
  return *r->at++;
}

uint32_t launch_u32(struct launch_reader *r) {
  uint32_t value = 0;
  for (unsigned shift = 0; shift < 32; shift += 8) value |= (uint32_t)launch_u8(r) << shift;
  return value;
}

uint64_t launch_u64(struct launch_reader *r) {
  uint64_t low = launch_u32(r);
  return low | (uint64_t)launch_u32(r) << 32;
}

struct launch_text launch_plain(struct launch_reader *r) {
  size_t size = launch_u32(r);
  if (r->bad || size > (size_t)(r->end - r->at)) {
    r->bad = true;
    return (struct launch_text){NULL, 0};
  }
  struct launch_text text = {(char *)(uintptr_t)r->at, size};
  r->at += size;
  return text;
}

static void append(struct launch_reader *r, const void *data, size_t size) {
  /* One byte stays for the null. */
  if (r->bad || size >= sizeof memory - used) {
    r->bad = true;
    return;
  }
  if (size > 0) memcpy(memory + used, data, size);
  used += size;
}

static const char *slot(struct launch_reader *r, const struct launch_values *values, uint8_t code) {
  if (code > 0 && code < SLOT_COUNT) return values->text[code];
  r->bad = true;
  return "";
}

/* Parts of a text beside those of enum launch_slot; src/cli/launch-record/encode.ts writes them. */
enum {
  PART_LITERAL = 0,
  PART_CAPTURED = 32, /* u8 which */
  PART_FRESH,         /* u8 which, u8 kind, u32 length (of digits) */
  PART_ORDER,         /* u8 which, u8 how many, plain between them, so many texts: in an order of this start's own */
  PART_PADDED,        /* u8 which: a process's number, with slashes before it */
};
enum { ORDER_MAX = 128, LITERALS_MAX = 4096 };

/* --- the literal texts of facts --- */

static struct launch_text literals[LITERALS_MAX];
static size_t literal_count;

static struct launch_text literal_part(struct launch_reader *r, const struct launch_values *values) {
  struct launch_text literal = launch_plain(r);
  if (r->bad || !values->in_fact || literal.length == 0) return literal;
  if (literal_count == LITERALS_MAX) r->bad = true;
  else literals[literal_count++] = literal;
  return literal;
}

/* Found wherever it stands; others stand at certain places alone. */
static bool is_word(uint8_t kind) { return kind <= CAPTURE_DATE; }

static bool holds(struct launch_text literal, struct launch_text value) {
  const char *end = literal.at + literal.length;
  for (const char *at = literal.at; at + value.length <= end; at++) {
    at = memmem(at, (size_t)(end - at), value.at, value.length);
    if (at == NULL) return false;
    bool before = launch_is_inside(at, literal.at);
    bool after = at + value.length < end && launch_is_letter_or_digit(at[value.length]);
    if (!before && !after) return true;
  }
  return false;
}

bool launch_values_are_apart(const struct launch_values *values) {
  const struct launch_captures *captures = &values->captures;
  for (size_t i = 0; i < captures->count; i++) {
    struct launch_text value = captures->list[i].text;
    if (value.length == 0 || !is_word(captures->list[i].kind) || !values->seen[i].any) continue;
    for (size_t j = 0; j < literal_count; j++) {
      if (holds(literals[j], value)) return false;
    }
  }
  return true;
}

/* --- captures --- */

static bool is_known(const struct launch_values *values, uint8_t index) {
  return index < values->captures.count && values->captures.list[index].text.at != NULL;
}

static const struct launch_text *captured(struct launch_reader *r, const struct launch_values *values, uint8_t index) {
  static const struct launch_text none = {NULL, 0};
  if (is_known(values, index)) return &values->captures.list[index].text;
  r->bad = true;
  return &none;
}

static bool is_same(struct launch_text left, struct launch_text right) {
  return left.length == right.length && memcmp(left.at, right.at, left.length) == 0;
}

static void set(struct launch_reader *r, struct launch_values *values, uint8_t index, uint8_t kind, struct launch_text value) {
  struct launch_captures *captures = &values->captures;
  if (r->bad || index >= values->seen_count || is_known(values, index)) {
    r->bad = true;
    return;
  }
  captures->list[index].kind = kind;
  captures->list[index].text = value;
  if (captures->count <= index) captures->count = index + 1u;
}

/* What has not been met before: it must be another than all that was, or else it would have been known. */
static bool capture(struct launch_reader *r, struct launch_values *values, uint8_t index, uint8_t kind, struct launch_text value) {
  struct launch_captures *captures = &values->captures;
  if (index >= values->seen_count) r->bad = true;
  if (r->bad) return false;
  if (is_word(kind)) {
    for (size_t i = 0; i < captures->count; i++) {
      if (is_known(values, (uint8_t)i) && is_word(captures->list[i].kind) && is_same(captures->list[i].text, value)) return false;
    }
    for (int i = SLOT_ID; i <= SLOT_NAME; i++) {
      if (strlen(values->text[i]) == value.length && memcmp(values->text[i], value.at, value.length) == 0) return false;
    }
  }
  if (!values->seen[index].any && !is_same(values->seen[index].text, value)) {
    values->is_news = true;
    return false;
  }
  set(r, values, index, kind, value);
  return !r->bad;
}

struct order {
  uint8_t index, count;
  struct launch_text between;
  struct launch_reader items[ORDER_MAX];
};

static void skip_text(struct launch_reader *r);

/* The items of an order, each to be read from its beginning. */
static bool read_order(struct launch_reader *r, struct order *order) {
  order->index = launch_u8(r);
  order->count = launch_u8(r);
  order->between = launch_plain(r);
  if (r->bad || order->count == 0 || order->count > ORDER_MAX) r->bad = true;
  for (size_t i = 0; i < order->count && !r->bad; i++) {
    order->items[i] = *r;
    skip_text(r);
  }
  return !r->bad;
}

/* Orders do not stand within orders. */
static void skip_text(struct launch_reader *r) {
  uint32_t parts = launch_u32(r);
  while (parts-- > 0 && !r->bad) {
    switch (launch_u8(r)) {
    case PART_LITERAL:
      launch_plain(r);
      break;
    case PART_CAPTURED:
    case PART_PADDED:
      launch_u8(r);
      break;
    case PART_FRESH:
      launch_u8(r);
      launch_u8(r);
      launch_u32(r);
      break;
    case PART_ORDER:
      r->bad = true;
      break;
    default:
      break;
    }
  }
}

/* The order of this start: places of items. */
static const struct launch_text *known_order(struct launch_reader *r, const struct launch_values *values, const struct order *order) {
  const struct launch_text *places = captured(r, values, order->index);
  if (r->bad || values->captures.list[order->index].kind != CAPTURE_ORDER || places->length != order->count) {
    r->bad = true;
    return NULL;
  }
  return places;
}

/* --- putting values into texts --- */

static void append_text(struct launch_reader *r, const struct launch_values *values, bool nested);

static void append_order(struct launch_reader *r, const struct launch_values *values) {
  struct order order;
  if (!read_order(r, &order)) return;
  const struct launch_text *places = known_order(r, values, &order);
  for (size_t i = 0; places != NULL && i < places->length && !r->bad; i++) {
    struct launch_reader item = order.items[(uint8_t)places->at[i] % order.count];
    if (i > 0) append(r, order.between.at, order.between.length);
    append_text(&item, values, true);
    r->bad |= item.bad;
  }
}

static void append_padded(struct launch_reader *r, const struct launch_values *values) {
  const struct launch_text *value = captured(r, values, launch_u8(r));
  if (value->length >= LAUNCH_PADDED_PID) r->bad = true;
  for (size_t length = value->length; length < LAUNCH_PADDED_PID && !r->bad; length++) append(r, "/", 1);
  append(r, value->at, value->length);
}

static void append_text(struct launch_reader *r, const struct launch_values *values, bool nested) {
  uint32_t parts = launch_u32(r);
  while (parts-- > 0 && !r->bad) {
    uint8_t kind = launch_u8(r);
    if (kind == PART_LITERAL) {
      struct launch_text literal = literal_part(r, values);
      append(r, literal.at, literal.length);
    } else if (kind == PART_CAPTURED) {
      const struct launch_text *value = captured(r, values, launch_u8(r));
      append(r, value->at, value->length);
    } else if (kind == PART_PADDED) {
      append_padded(r, values);
    } else if (kind == PART_ORDER && !nested) {
      append_order(r, values);
    } else {
      const char *value = slot(r, values, kind);
      append(r, value, strlen(value));
    }
  }
}

struct launch_text launch_text(struct launch_reader *r, const struct launch_values *values) {
  struct launch_text text = {memory + used, 0};
  size_t start = used;
  append_text(r, values, false);
  text.length = used - start;
  if (used < sizeof memory) memory[used++] = 0;
  else r->bad = true;
  return text;
}

static const char *last_string = "";

const char *launch_last_string(void) { return last_string; }

char *launch_string(struct launch_reader *r, const struct launch_values *values) {
  static char none[1];
  struct launch_text text = launch_text(r, values);
  if (r->bad || strlen(text.at) != text.length) {
    r->bad = true;
    return none;
  }
  last_string = text.at;
  return text.at;
}

/* --- holding bytes against texts --- */

size_t launch_text_bound(struct launch_reader r, const struct launch_values *values) {
  size_t bound = 0;
  uint32_t parts = launch_u32(&r);
  while (parts-- > 0 && !r.bad) {
    uint8_t kind = launch_u8(&r);
    struct order order;
    if (kind == PART_LITERAL) {
      bound += launch_plain(&r).length;
    } else if (kind == PART_CAPTURED) {
      uint8_t index = launch_u8(&r);
      bound += is_known(values, index) ? values->captures.list[index].text.length : LAUNCH_CAPTURE_BYTES;
    } else if (kind == PART_PADDED) {
      launch_u8(&r);
      bound += LAUNCH_PADDED_PID;
    } else if (kind == PART_FRESH) {
      launch_u8(&r);
      launch_u8(&r);
      launch_u32(&r);
      bound += LAUNCH_HEX_MAX;
    } else if (kind == PART_ORDER && read_order(&r, &order)) {
      for (size_t i = 0; i < order.count; i++) bound += launch_text_bound(order.items[i], values) + order.between.length;
    } else {
      bound += sizeof values->text[0];
    }
  }
  return bound;
}

struct cursor {
  const char *begin, *at, *end;
};

static bool match_bytes(struct cursor *c, struct launch_text expected) {
  if ((size_t)(c->end - c->at) < expected.length || memcmp(c->at, expected.at, expected.length) != 0) return false;
  c->at += expected.length;
  return true;
}

static bool is_fresh_kind(uint8_t kind) {
  return kind == CAPTURE_HEX || kind == CAPTURE_DATE || kind == CAPTURE_PID || kind == CAPTURE_NUMBER;
}

/* Without a nought before it, so that it is told in one way. */
static size_t number_length(const char *at, const char *end) {
  size_t length = 0;
  while (at + length < end && at[length] >= '0' && at[length] <= '9') length++;
  bool ends = at + length == end || !launch_is_letter_or_digit(at[length]);
  return ends && length > 0 && length <= LAUNCH_NUMBER_MAX && (length == 1 || *at != '0') ? length : 0;
}

static size_t fresh_length(uint8_t kind, const char *at, const char *end) {
  if (kind == CAPTURE_HEX) return launch_hex_length(at, end);
  return kind == CAPTURE_DATE ? launch_date_length(at, end) : number_length(at, end);
}

static bool match_fresh(struct launch_reader *r, struct launch_values *values, struct cursor *c) {
  uint8_t index = launch_u8(r);
  uint8_t kind = launch_u8(r);
  uint32_t wanted = launch_u32(r);
  if (r->bad || !is_fresh_kind(kind)) {
    r->bad = true;
    return false;
  }
  bool inside = launch_is_inside(c->at, c->begin);
  size_t length = fresh_length(kind, c->at, c->end);
  if (inside || length == 0 || (kind == CAPTURE_HEX && length != wanted)) return false;
  struct launch_text value = {memory + used, length};
  append(r, c->at, length);
  c->at += length;
  return !r->bad && capture(r, values, index, kind, value);
}

static bool match_text(struct launch_reader *r, struct launch_values *values, struct cursor *c, bool nested);

/* Tries each item that has not had its place yet: no item begins as another does, but for the name that ends at `=`. */
static bool match_order(struct launch_reader *r, struct launch_values *values, struct cursor *c) {
  struct order order;
  if (!read_order(r, &order)) return false;
  bool known = is_known(values, order.index);
  const struct launch_text *places = known ? known_order(r, values, &order) : NULL;
  struct launch_text found = {memory + used, order.count};
  char found_places[ORDER_MAX];
  bool taken[ORDER_MAX] = {false};
  for (size_t i = 0; i < order.count && !r->bad; i++) {
    if (i > 0 && !match_bytes(c, order.between)) return false;
    size_t j = 0;
    for (; j < order.count; j++) {
      if (taken[j] || (places != NULL && (uint8_t)places->at[i] != j)) continue;
      struct launch_reader item = order.items[j];
      struct cursor try = *c;
      size_t literals_before = literal_count;
      struct launch_captures captures_before = values->captures;
      bool matches = match_text(&item, values, &try, true);
      r->bad |= item.bad;
      if (!matches || r->bad) {
        literal_count = literals_before;
        values->captures = captures_before;
        continue;
      }
      *c = try;
      break;
    }
    if (j == order.count) return false;
    taken[j] = true;
    found_places[i] = (char)j;
  }
  if (known || r->bad) return !r->bad;
  found.at = memory + used;
  append(r, found_places, order.count);
  return !r->bad && capture(r, values, order.index, CAPTURE_ORDER, found);
}

static bool match_text(struct launch_reader *r, struct launch_values *values, struct cursor *c, bool nested) {
  uint32_t parts = launch_u32(r);
  while (parts-- > 0 && !r->bad) {
    uint8_t kind = launch_u8(r);
    bool matches;
    if (kind == PART_LITERAL) {
      matches = match_bytes(c, literal_part(r, values));
    } else if (kind == PART_CAPTURED) {
      uint8_t index = launch_u8(r);
      /* Within an order it may be in an item that comes later. */
      matches = is_known(values, index) && match_bytes(c, *captured(r, values, index));
    } else if (kind == PART_FRESH) {
      matches = match_fresh(r, values, c);
    } else if (kind == PART_ORDER && !nested) {
      matches = match_order(r, values, c);
    } else {
      const char *value = slot(r, values, kind);
      matches = match_bytes(c, (struct launch_text){(char *)(uintptr_t)value, strlen(value)});
    }
    if (!matches) return false;
  }
  return !r->bad;
}

bool launch_match(struct launch_reader *r, struct launch_values *values, const char *bytes, size_t size, bool prefix) {
  struct cursor c = {bytes, bytes, bytes + size};
  return match_text(r, values, &c, false) && (prefix || c.at == c.end);
}

static void fresh_dry(struct launch_reader *r, struct launch_values *values) {
  struct launch_text value = {memory + used, 0};
  uint8_t index = launch_u8(r);
  uint8_t kind = launch_u8(r);
  value.length = launch_u32(r);
  if (value.length > LAUNCH_HEX_MAX || !is_fresh_kind(kind)) r->bad = true;
  for (size_t i = 0; i < value.length && !r->bad; i++) append(r, "0", 1);
  set(r, values, index, kind, value);
}

static void order_dry(struct launch_reader *r, struct launch_values *values) {
  struct order order;
  struct launch_text value = {memory + used, 0};
  if (!read_order(r, &order)) return;
  value.length = order.count;
  if (is_known(values, order.index)) {
    known_order(r, values, &order);
  } else {
    for (size_t i = 0; i < order.count; i++) append(r, (char[]){(char)i}, 1);
    set(r, values, order.index, CAPTURE_ORDER, value);
  }
  for (size_t i = 0; i < order.count && !r->bad; i++) {
    launch_match_dry(&order.items[i], values);
    r->bad |= order.items[i].bad;
  }
}

void launch_match_dry(struct launch_reader *r, struct launch_values *values) {
  uint32_t parts = launch_u32(r);
  while (parts-- > 0 && !r->bad) {
    uint8_t kind = launch_u8(r);
    /* Orders do not stand within orders: `read_order` sees to it. */
    if (kind == PART_LITERAL) launch_plain(r);
    else if (kind == PART_CAPTURED || kind == PART_PADDED) captured(r, values, launch_u8(r));
    else if (kind == PART_FRESH) fresh_dry(r, values);
    else if (kind == PART_ORDER) order_dry(r, values);
    else slot(r, values, kind);
  }
}

void launch_forget_texts(void) {
  used = 0;
  literal_count = 0;
}
