// Arithmetic of every width, for the example processor: the output has to be the real one's.
#define NR_WRITE 1
#define NR_EXIT_GROUP 231

static long call(long nr, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(nr), "D"(a), "S"(b), "d"(c)
                   : "rcx", "r11", "memory");
  return result;
}

static unsigned long sum = 0xcbf29ce484222325;

static void mix(unsigned long value) {
  sum = (sum ^ value) * 0x100000001b3;
}

static void say(char name) {
  char line[20];
  line[0] = name;
  line[1] = ' ';
  for (int i = 0; i < 16; ++i) line[2 + i] = "0123456789abcdef"[sum >> (60 - 4 * i) & 15];
  line[18] = '\n';
  call(NR_WRITE, 1, (long)line, 19);
}

static unsigned long state = 88172645463325252;

/** Numbers of all sizes, small and large ones more often than others. */
static unsigned long next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  unsigned long few = state & 7;
  if (few == 0) return (long)(state << 32) >> 60;
  if (few == 1) return 1ul << (state >> 58);
  if (few == 2) return (1ul << (state >> 58)) - 1;
  return state;
}

#define WIDTH(type, utype)                                                                   \
  static void try_##type(utype a, utype b) {                                                 \
    type x = (type)a, y = (type)b;                                                           \
    int by = b & (sizeof a * 8 - 1);                                                         \
    mix((utype)(a + b)), mix((utype)(a - b)), mix((utype)(a * b)), mix((utype)-a);           \
    mix((utype)(a & b)), mix((utype)(a | b)), mix((utype)(a ^ b)), mix((utype)~a);           \
    mix((utype)(a << by)), mix((utype)(a >> by)), mix((utype)(x >> by));                     \
    mix((utype)(a << by | a >> (sizeof a * 8 - by - !by)));                                  \
    mix(a < b), mix(x < y), mix(a <= b), mix(x <= y), mix(a == b), mix(x > y), mix(a > b);   \
    mix(a < b ? a : b), mix((unsigned long)(long)(x < y ? x : y));                           \
    if (b) mix(a / b), mix(a % b);                                                           \
    if (y && y != -1) mix((unsigned long)(long)(x / y)), mix((unsigned long)(long)(x % y));  \
    utype c;                                                                                 \
    mix(__builtin_add_overflow(a, b, &c)), mix(c);                                           \
    mix(__builtin_sub_overflow(x, y, &x)), mix((unsigned long)(long)x);                      \
    x = (type)a;                                                                             \
    mix(__builtin_mul_overflow(x, y, &x)), mix((unsigned long)(long)x);                      \
  }
typedef signed char byte;
typedef unsigned char ubyte;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
WIDTH(byte, ubyte)
WIDTH(short, ushort)
WIDTH(int, uint)
WIDTH(long, ulong)

/** The instructions that a compiler chooses rarely, with the flags they leave. */
static void try_flags(unsigned long a, unsigned long b) {
  unsigned long to, flags;
#define TRY(text)                                                                            \
  to = a;                                                                                    \
  __asm__ volatile(text : "+r"(to), "=&r"(flags) : "r"(b) : "cc", "rcx", "memory");          \
  mix(to);                                                                                   \
  mix(flags);
#define SET "setc %b1\n seto %%cl\n rol $8, %1\n mov %%cl, %b1\n and $0xffff, %1"
  TRY("xor %1, %1\n add %2, %0\n " SET)
  TRY("xor %1, %1\n cmp %2, %0\n adc %2, %0\n " SET)
  TRY("xor %1, %1\n cmp %2, %0\n sbb %2, %0\n " SET)
  TRY("xor %1, %1\n stc\n cmc\n inc %0\n " SET)
  TRY("xor %1, %1\n shl $1, %0\n " SET)
  TRY("xor %1, %1\n shr $1, %0\n " SET)
  TRY("xor %1, %1\n sar $3, %k0\n setc %b1")
  TRY("xor %1, %1\n rol $1, %w0\n " SET)
  TRY("xor %1, %1\n ror $1, %b0\n " SET)
  TRY("xor %1, %1\n bt %2, %0\n setc %b1")
  TRY("xor %1, %1\n test %b2, %b0\n setp %b1")
  TRY("xor %1, %1\n dec %k0\n sets %b1")
  TRY("mov %2, %1\n xchg %1, %0")
  TRY("mov %2, %1\n bswap %1\n bswap %k0")
}

static void try_blocks(unsigned long a) {
  unsigned char from[64], to[64];
  for (int i = 0; i < 64; ++i) from[i] = (unsigned char)(a >> (i & 31)), to[i] = 0;
  void *s = from, *d = to;
  long n = a & 31;
  __asm__ volatile("cld\n rep movsb" : "+S"(s), "+D"(d), "+c"(n)::"memory");
  n = 3;
  __asm__ volatile("rep stosl" : "+D"(d), "+c"(n) : "a"((int)a) : "memory");
  s = from + 63, d = to + 63, n = 5;
  __asm__ volatile("std\n rep movsb\n cld" : "+S"(s), "+D"(d), "+c"(n)::"memory", "cc");
  for (int i = 0; i < 64; ++i) mix(to[i]);
}

__attribute__((used)) static void start(void) {
  for (int i = 0; i < 300; ++i) {
    try_byte(next(), next());
    try_short(next(), next());
    try_int(next(), next());
    try_long(next(), next());
  }
  say('w');
  for (int i = 0; i < 300; ++i) try_flags(next(), next());
  say('f');
  for (int i = 0; i < 30; ++i) try_blocks(next());
  say('b');
  call(NR_EXIT_GROUP, (long)(sum & 63), 0, 0);
}

__asm__(".globl _start\n_start:\n  and $-16, %rsp\n  call start\n");
