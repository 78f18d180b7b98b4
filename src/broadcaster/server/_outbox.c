/* What `_pure_outbox.py` does, in C: a frame for thousands of connections touches one small struct of each.
 *
 * A connection's frames are sent straight to its socket, in one call for each turn of the event loop. What the
 * socket does not take goes to the transport, which owns it; until the transport has written all of that, so
 * does everything after it. Only the thread of the event loop may use these objects, and it keeps the GIL. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* Python ignores SIGPIPE */
#endif

#define TYPE_OF(object) Py_TYPE((PyObject *)(object))
#define MOST_AT_ONCE 1024   /* frames in one call: what sendmsg() takes, the IOV_MAX of Linux and macOS */
#define MOST_WAITING 262144 /* bytes that wait for the end of the turn */

typedef struct {
    PyObject **items;
    Py_ssize_t count, room;
} Pile;

typedef struct {
    PyObject_HEAD
    PyObject *call_soon;
    Pile outboxes; /* those with frames, a reference to each */
    Pile payloads; /* what their frames point into */
    Py_ssize_t waiting;
    int scheduled;
} Flusher;

typedef struct {
    PyObject_HEAD
    Flusher *flusher;
    PyObject *transport; /* NULL once it is closed */
    struct iovec *frames;
    struct iovec only; /* room for the one frame that most turns have */
    int count, room;
    int descriptor; /* -1 where all goes by the transport */
    char deflated, behind;
} Outbox;

typedef struct {
    PyObject_HEAD
    Flusher *flusher;
    Outbox **outboxes;
    Py_ssize_t count;
    char deflated;
} Crowd;

static PyObject *outbox_type;
static PyObject *flusher_type;

static int add(Pile *pile, PyObject *item)
{
    if (pile->count == pile->room) {
        Py_ssize_t room = pile->room ? 2 * pile->room : 64;
        PyObject **items = PyMem_Realloc(pile->items, (size_t)room * sizeof *items);
        if (items == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        pile->items = items;
        pile->room = room;
    }
    pile->items[pile->count++] = Py_NewRef(item);
    return 0;
}

static void clear(Pile *pile)
{
    PyObject **items = pile->items;
    Py_ssize_t count = pile->count;
    *pile = (Pile){0};
    while (count > 0)
        Py_DECREF(items[--count]);
    PyMem_Free(items);
}

/* Give the memory of an emptied pile back to its owner, who may have got another one meanwhile. */
static void restore(Pile *pile, Pile *emptied)
{
    while (emptied->count > 0)
        Py_DECREF(emptied->items[--emptied->count]);
    if (pile->items == NULL)
        *pile = *emptied;
    else
        PyMem_Free(emptied->items);
}

/* The outbox */

static void forget_frames(Outbox *self)
{
    self->count = 0;
    if (self->frames != &self->only) {
        PyMem_Free(self->frames);
        self->frames = &self->only;
        self->room = 1;
    }
}

static int grow(Outbox *self)
{
    int room = self->room < 4 ? 8 : 2 * self->room;
    int is_first = self->frames == &self->only;
    struct iovec *frames = PyMem_Realloc(is_first ? NULL : self->frames, (size_t)room * sizeof *frames);
    if (frames == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (is_first)
        frames[0] = self->only;
    self->frames = frames;
    self->room = room;
    return 0;
}

static inline int put(Outbox *self, struct iovec frame)
{
    if (self->transport == NULL)
        return 0;
    if (self->count == self->room && grow(self) < 0)
        return -1;
    if (self->count == 0 && add(&self->flusher->outboxes, (PyObject *)self) < 0)
        return -1;
    self->frames[self->count++] = frame;
    return 0;
}

/* Send frames until the socket takes no more; return how many bytes it took. */
static size_t send_frames(Outbox *self)
{
    size_t taken = 0;
    for (int first = 0; first < self->count;) {
        int count = self->count - first < MOST_AT_ONCE ? self->count - first : MOST_AT_ONCE;
        size_t wanted = 0;
        ssize_t sent;
        for (int each = first; each < first + count; each++)
            wanted += self->frames[each].iov_len;
        do {
            if (count == 1) {
                struct iovec *frame = &self->frames[first];
                sent = send(self->descriptor, frame->iov_base, frame->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
            } else {
                struct msghdr message = {.msg_iov = &self->frames[first], .msg_iovlen = (size_t)count};
                sent = sendmsg(self->descriptor, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
            }
        } while (sent < 0 && errno == EINTR);
        if (sent > 0)
            taken += (size_t)sent;
        if (sent < 0 || (size_t)sent < wanted)
            break;
        first += count;
    }
    return taken;
}

/* Return the frames without their first *taken* bytes, as one object. */
static PyObject *join_frames(Outbox *self, size_t taken)
{
    size_t size = 0;
    for (int each = 0; each < self->count; each++)
        size += self->frames[each].iov_len;
    PyObject *joined = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(size - taken));
    if (joined == NULL)
        return NULL;
    char *end = PyBytes_AsString(joined);
    for (int each = 0; each < self->count; each++) {
        struct iovec *frame = &self->frames[each];
        size_t skipped = taken < frame->iov_len ? taken : frame->iov_len;
        memcpy(end, (char *)frame->iov_base + skipped, frame->iov_len - skipped);
        end += frame->iov_len - skipped;
        taken -= skipped;
    }
    return joined;
}

/* Whether the transport still has to write what it was given; -1 for an exception. */
static int is_behind(Outbox *self)
{
    PyObject *size = PyObject_CallMethod(self->transport, "get_write_buffer_size", NULL);
    if (size == NULL)
        return -1;
    int behind = PyObject_IsTrue(size);
    Py_DECREF(size);
    return behind;
}

/* Have the transport write what the socket does not take. */
static int write_by_transport(Outbox *self, size_t taken)
{
    PyObject *rest = join_frames(self, taken);
    forget_frames(self);
    if (rest == NULL)
        return -1;
    /* It may close the outbox before it returns. */
    PyObject *transport = Py_NewRef(self->transport);
    PyObject *written = PyObject_CallMethod(transport, "write", "O", rest);
    Py_DECREF(rest);
    Py_DECREF(transport);
    if (written == NULL)
        return -1;
    Py_DECREF(written);
    self->behind = self->descriptor >= 0;
    return 0;
}

static int flush(Outbox *self)
{
    size_t taken = 0, wanted = 0;
    if (self->count == 0)
        return 0;
    if (self->behind) {
        int behind = is_behind(self);
        if (behind < 0) {
            forget_frames(self);
            return -1;
        }
        self->behind = (char)behind;
    }
    if (self->descriptor >= 0 && !self->behind) {
        for (int each = 0; each < self->count; each++)
            wanted += self->frames[each].iov_len;
        taken = send_frames(self);
        if (taken == wanted) {
            forget_frames(self);
            return 0;
        }
    }
    return write_by_transport(self, taken);
}

static PyObject *outbox_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"flusher", "transport", "descriptor", "deflated", NULL};
    PyObject *flusher, *transport;
    int descriptor, deflated;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!Oip", names, (PyTypeObject *)flusher_type, &flusher,
                                     &transport, &descriptor, &deflated))
        return NULL;
    Outbox *self = (Outbox *)PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    self->flusher = (Flusher *)Py_NewRef(flusher);
    self->transport = Py_NewRef(transport);
    self->frames = &self->only;
    self->room = 1;
    self->descriptor = descriptor;
    self->deflated = (char)deflated;
    self->behind = descriptor >= 0; /* until it is known that nothing was written before */
    return (PyObject *)self;
}

static int outbox_traverse(Outbox *self, visitproc visit, void *arg)
{
    Py_VISIT(TYPE_OF(self));
    Py_VISIT(self->flusher);
    Py_VISIT(self->transport);
    return 0;
}

static int outbox_clear(Outbox *self)
{
    forget_frames(self);
    Py_CLEAR(self->transport);
    return 0;
}

static void outbox_dealloc(Outbox *self)
{
    PyTypeObject *type = TYPE_OF(self);
    PyObject_GC_UnTrack(self);
    outbox_clear(self);
    Py_CLEAR(self->flusher);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* The flusher */

static int flusher_flush(Flusher *self)
{
    /* What is written meanwhile waits for the next time. */
    Pile outboxes = self->outboxes, payloads = self->payloads;
    self->outboxes = self->payloads = (Pile){0};
    self->waiting = 0;
    PyObject *kind = NULL, *error = NULL, *trace = NULL;
    for (Py_ssize_t each = 0; each < outboxes.count; each++)
        if (flush((Outbox *)outboxes.items[each]) < 0) {
            /* One connection's trouble is not the others'. */
            if (kind == NULL)
                PyErr_Fetch(&kind, &error, &trace);
            else
                PyErr_Clear();
        }
    restore(&self->outboxes, &outboxes);
    restore(&self->payloads, &payloads);
    if (kind == NULL)
        return 0;
    PyErr_Restore(kind, error, trace);
    return -1;
}

/* See to it that what points into *payload* is sent. */
static int keep(Flusher *self, PyObject *payload, Py_ssize_t size)
{
    if (add(&self->payloads, payload) < 0)
        return -1;
    self->waiting += size;
    if (!self->scheduled) {
        PyObject *handle = PyObject_CallFunctionObjArgs(self->call_soon, (PyObject *)self, NULL);
        if (handle == NULL)
            return -1;
        Py_DECREF(handle);
        self->scheduled = 1;
    }
    return 0;
}

static int frame_of(PyObject *payload, struct iovec *frame)
{
    char *start;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(payload, &start, &size) < 0)
        return -1;
    frame->iov_base = start;
    frame->iov_len = (size_t)size;
    return 0;
}

static int flush_if_full(Flusher *self) { return self->waiting > MOST_WAITING ? flusher_flush(self) : 0; }

static PyObject *outbox_write(Outbox *self, PyObject *payload)
{
    struct iovec frame;
    if (frame_of(payload, &frame) < 0)
        return NULL;
    if (self->transport != NULL
        && (keep(self->flusher, payload, (Py_ssize_t)frame.iov_len) < 0 || put(self, frame) < 0
            || flush_if_full(self->flusher) < 0))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *outbox_flush(Outbox *self, PyObject *Py_UNUSED(none))
{
    if (flush(self) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *outbox_close(Outbox *self, PyObject *Py_UNUSED(none))
{
    outbox_clear(self);
    Py_RETURN_NONE;
}

static PyObject *flusher_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"call_soon", NULL};
    PyObject *call_soon;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O", names, &call_soon))
        return NULL;
    Flusher *self = (Flusher *)PyType_GenericAlloc(type, 0);
    if (self != NULL)
        self->call_soon = Py_NewRef(call_soon);
    return (PyObject *)self;
}

static PyObject *flusher_call(Flusher *self, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(keywords))
{
    self->scheduled = 0;
    if (flusher_flush(self) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static int flusher_traverse(Flusher *self, visitproc visit, void *arg)
{
    Py_VISIT(TYPE_OF(self));
    Py_VISIT(self->call_soon);
    for (Py_ssize_t each = 0; each < self->outboxes.count; each++)
        Py_VISIT(self->outboxes.items[each]);
    return 0;
}

static int flusher_clear(Flusher *self)
{
    Py_CLEAR(self->call_soon);
    for (Py_ssize_t each = 0; each < self->outboxes.count; each++)
        forget_frames((Outbox *)self->outboxes.items[each]);
    clear(&self->outboxes);
    clear(&self->payloads);
    return 0;
}

static void flusher_dealloc(Flusher *self)
{
    PyTypeObject *type = TYPE_OF(self);
    PyObject_GC_UnTrack(self);
    flusher_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* The crowd */

static PyObject *crowd_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"outboxes", NULL};
    PyObject *given;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O", names, &given))
        return NULL;
    PyObject *outboxes = PySequence_Tuple(given);
    if (outboxes == NULL)
        return NULL;
    Py_ssize_t count = PyTuple_Size(outboxes);
    Crowd *self = (Crowd *)PyType_GenericAlloc(type, 0);
    if (self == NULL)
        goto done;
    self->outboxes = PyMem_Malloc((size_t)(count ? count : 1) * sizeof *self->outboxes);
    if (self->outboxes == NULL) {
        PyErr_NoMemory();
        Py_CLEAR(self);
        goto done;
    }
    for (; self->count < count; self->count++) {
        PyObject *outbox = PyTuple_GetItem(outboxes, self->count);
        if (!PyObject_TypeCheck(outbox, (PyTypeObject *)outbox_type)) {
            PyErr_Format(PyExc_TypeError, "a crowd is made of outboxes, not of %R", outbox);
            Py_CLEAR(self);
            goto done;
        }
        self->outboxes[self->count] = (Outbox *)Py_NewRef(outbox);
        self->deflated |= ((Outbox *)outbox)->deflated;
        Flusher *flusher = ((Outbox *)outbox)->flusher;
        if (self->flusher == NULL)
            self->flusher = (Flusher *)Py_NewRef((PyObject *)flusher);
        if (self->flusher != flusher) {
            self->count++;
            PyErr_SetString(PyExc_ValueError, "a crowd's outboxes have one flusher");
            Py_CLEAR(self);
            goto done;
        }
    }
done:
    Py_DECREF(outboxes);
    return (PyObject *)self;
}

static PyObject *crowd_write(Crowd *self, PyObject *const *args, Py_ssize_t count)
{
    struct iovec plain, small = {0};
    if (count < 2 || count > 3) {
        PyErr_SetString(PyExc_TypeError, "write() takes a payload, an outbox or None, and a deflated payload");
        return NULL;
    }
    PyObject *deflated = count > 2 && args[2] != Py_None ? args[2] : NULL;
    if (frame_of(args[0], &plain) < 0 || (deflated != NULL && frame_of(deflated, &small) < 0))
        return NULL;
    Py_ssize_t left_out = 0;
    if (self->count > 0) {
        if (keep(self->flusher, args[0], (Py_ssize_t)plain.iov_len) < 0
            || (deflated != NULL && keep(self->flusher, deflated, 0) < 0))
            return NULL;
        for (Py_ssize_t each = 0; each < self->count; each++) {
            Outbox *outbox = self->outboxes[each];
            if ((PyObject *)outbox == args[1])
                left_out++;
            else if (put(outbox, deflated != NULL && outbox->deflated ? small : plain) < 0)
                return NULL;
        }
        if (flush_if_full(self->flusher) < 0)
            return NULL;
    }
    return PyLong_FromSsize_t(self->count - left_out);
}

static PyObject *crowd_deflated(Crowd *self, void *Py_UNUSED(closure)) { return PyBool_FromLong(self->deflated); }

static int crowd_traverse(Crowd *self, visitproc visit, void *arg)
{
    Py_VISIT(TYPE_OF(self));
    Py_VISIT(self->flusher);
    for (Py_ssize_t each = 0; each < self->count; each++)
        Py_VISIT(self->outboxes[each]);
    return 0;
}

static int crowd_clear(Crowd *self)
{
    Outbox **outboxes = self->outboxes;
    Py_ssize_t count = self->count;
    self->outboxes = NULL;
    self->count = 0;
    while (count > 0)
        Py_DECREF(outboxes[--count]);
    PyMem_Free(outboxes);
    return 0;
}

static void crowd_dealloc(Crowd *self)
{
    PyTypeObject *type = TYPE_OF(self);
    PyObject_GC_UnTrack(self);
    crowd_clear(self);
    Py_CLEAR(self->flusher);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* The module */

static PyMethodDef outbox_methods[] = {
    {"write", (PyCFunction)outbox_write, METH_O, "Send a frame before the turn ends."},
    {"flush", (PyCFunction)outbox_flush, METH_NOARGS, "Send at once what waits for the end of the turn."},
    {"close", (PyCFunction)outbox_close, METH_NOARGS, "Forget the transport, and what was to be sent."},
    {NULL},
};

static PyMethodDef crowd_methods[] = {
    {"write", (PyCFunction)(void (*)(void))crowd_write, METH_FASTCALL,
     "Send a frame to all but one; return how many they are."},
    {NULL},
};

static PyGetSetDef crowd_getset[] = {
    {"deflated", (getter)crowd_deflated, NULL, "Whether some of them take frames that are compressed.", NULL},
    {NULL},
};

#define TYPE(NAME, STRUCT, ...)                                                                              \
    static PyType_Slot NAME##_slots[] = {{Py_tp_new, NAME##_new},                                            \
                                         {Py_tp_dealloc, NAME##_dealloc},                                    \
                                         {Py_tp_traverse, NAME##_traverse},                                  \
                                         {Py_tp_clear, NAME##_clear},                                        \
                                         __VA_ARGS__,                                                        \
                                         {0, NULL}};                                                         \
    static PyType_Spec NAME##_spec = {.name = "broadcaster.server._outbox." #STRUCT,                         \
                                      .basicsize = sizeof(STRUCT),                                           \
                                      .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC                       \
                                               | Py_TPFLAGS_IMMUTABLETYPE,                                   \
                                      .slots = NAME##_slots};

TYPE(flusher, Flusher, {Py_tp_call, flusher_call})
TYPE(outbox, Outbox, {Py_tp_methods, outbox_methods})
TYPE(crowd, Crowd, {Py_tp_methods, crowd_methods}, {Py_tp_getset, crowd_getset})

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "_outbox", .m_doc = "Outboxes in C.", .m_size = -1};

PyMODINIT_FUNC PyInit__outbox(void)
{
    PyObject *self = PyModule_Create(&module);
    PyObject *crowd_type = NULL;
    if (self == NULL || (flusher_type = PyType_FromSpec(&flusher_spec)) == NULL
        || (outbox_type = PyType_FromSpec(&outbox_spec)) == NULL
        || (crowd_type = PyType_FromSpec(&crowd_spec)) == NULL
        || PyModule_AddObjectRef(self, "Flusher", flusher_type) < 0
        || PyModule_AddObjectRef(self, "Outbox", outbox_type) < 0
        || PyModule_AddObjectRef(self, "Crowd", crowd_type) < 0)
        return NULL;
    Py_DECREF(crowd_type);
    return self;
}
